"""OCI's regions and realms, from `oci/regions_definitions.py` of the SDK."""

#: Regions by the short key that an OCID contains (`oci/regions_definitions.py` of 2.189), in all realms.
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
    "aga": "us-saltlake-2", "vap": "sa-valparaiso-1", "xsp": "ap-singapore-2", "ruh": "me-riyadh-1",
    "onm": "ap-delhi-1", "hsg": "ap-batam-1", "orf": "eu-madrid-3", "nrq": "eu-turin-1", "jbp": "ap-kulai-2",
    "lej": "af-casablanca-1", "lfi": "us-langley-1", "luf": "us-luke-1", "ric": "us-gov-ashburn-1",
    "pia": "us-gov-chicago-1", "tus": "us-gov-phoenix-1", "ltn": "uk-gov-london-1", "brs": "uk-gov-cardiff-1",
    "nja": "ap-chiyoda-1", "ukb": "ap-ibaraki-1", "mct": "me-dcc-muscat-1", "ibr": "me-ibri-1",
    "wga": "ap-dcc-canberra-1", "bgy": "eu-dcc-milan-1", "mxp": "eu-dcc-milan-2", "snn": "eu-dcc-dublin-2",
    "dtm": "eu-dcc-rating-2", "dus": "eu-dcc-rating-1", "ork": "eu-dcc-dublin-1", "dac": "ap-dcc-gazipur-1",
    "vll": "eu-madrid-2", "str": "eu-frankfurt-2", "beg": "eu-jovanovac-1", "doh": "me-dcc-doha-1",
    "vve": "me-alrayyan-1", "ebb": "us-somerset-1", "ebl": "us-thames-1", "avz": "eu-dcc-zurich-1",
    "avf": "eu-crissier-1", "ahu": "me-abudhabi-3", "rba": "me-alain-1", "rkt": "me-abudhabi-2",
    "shj": "me-abudhabi-4", "dtz": "ap-seoul-2", "dln": "ap-suwon-1", "bno": "ap-chuncheon-2",
    "yxj": "us-ashburn-2", "pgc": "us-newark-1", "jsk": "eu-budapest-1", "hnw": "sa-riodejaneiro-1",
}  # fmt: skip

#: The second-level domains of the realms whose hosts have another form (`oci/regions_definitions.py`).
REALMS = {
    "oc2": "oraclegovcloud.com", "oc3": "oraclegovcloud.com", "oc4": "oraclegovcloud.uk", "oc8": "oraclecloud8.com",
    "oc9": "oraclecloud9.com", "oc10": "oraclecloud10.com", "oc14": "oraclecloud14.com", "oc19": "oraclecloud.eu",
}  # fmt: skip
