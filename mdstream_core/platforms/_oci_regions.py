"""Where OCI is: regions and realms, as `oci/regions_definitions.py` of the SDK names them."""

#: Regions by the short key that stands in an OCID (`oci/regions_definitions.py`), realm oc1.
REGIONS = {
    "iad": "us-ashburn-1", "phx": "us-phoenix-1", "sjc": "us-sanjose-1", "ord": "us-chicago-1",
    "yyz": "ca-toronto-1", "yul": "ca-montreal-1", "gru": "sa-saopaulo-1", "vcp": "sa-vinhedo-1",
    "scl": "sa-santiago-1", "lhr": "uk-london-1", "cwl": "uk-cardiff-1", "fra": "eu-frankfurt-1",
    "zrh": "eu-zurich-1", "ams": "eu-amsterdam-1", "mrs": "eu-marseille-1", "lin": "eu-milan-1",
    "arn": "eu-stockholm-1", "cdg": "eu-paris-1", "mad": "eu-madrid-1", "jnb": "af-johannesburg-1",
    "mtz": "il-jerusalem-1", "jed": "me-jeddah-1", "dxb": "me-dubai-1", "auh": "me-abudhabi-1",
    "bom": "ap-mumbai-1", "hyd": "ap-hyderabad-1", "sin": "ap-singapore-1", "nrt": "ap-tokyo-1",
    "kix": "ap-osaka-1", "icn": "ap-seoul-1", "yny": "ap-chuncheon-1", "syd": "ap-sydney-1",
    "mel": "ap-melbourne-1", "qro": "mx-queretaro-1", "mty": "mx-monterrey-1", "bog": "sa-bogota-1",
}  # fmt: skip

#: The second-level domain of each realm that has no host of its own kind (`oci/regions_definitions.py`).
REALMS = {
    "oc2": "oraclegovcloud.com", "oc3": "oraclegovcloud.com", "oc4": "oraclegovcloud.uk", "oc8": "oraclecloud8.com",
    "oc9": "oraclecloud9.com", "oc10": "oraclecloud10.com", "oc14": "oraclecloud14.com", "oc19": "oraclecloud.eu",
}  # fmt: skip
