"""The domains of AWS's partitions."""

#: Domains by the prefix of the region; all others are in `amazonaws.com` (botocore's `partitions.json`).
_SUFFIXES = {
    "cn-": "amazonaws.com.cn",
    "eusc-": "amazonaws.eu",
    "us-iso-": "c2s.ic.gov",
    "us-isob-": "sc2s.sgov.gov",
    "eu-isoe-": "cloud.adc-e.uk",
    "us-isof-": "csp.hci.ic.gov",
}


def aws_domain(region: str) -> str:
    """Return the domain of a region's services.

    >>> aws_domain("us-east-1"), aws_domain("cn-north-1")
    ('amazonaws.com', 'amazonaws.com.cn')
    """
    return next((suffix for prefix, suffix in _SUFFIXES.items() if region.startswith(prefix)), "amazonaws.com")
