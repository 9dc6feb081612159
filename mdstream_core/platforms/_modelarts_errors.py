"""Huawei Cloud's error codes. The reference has no status for many of them ("?"), so the code selects the class.

Sources: trouble-modelarts 0217, 0218, 0219, 0221 and 2.0-0065; the MaaS guide model-call-035; API Gateway's list.
"""

from mdstream_core.errors import (
    AuthenticationError,
    ContentFiltered,
    InvalidRequest,
    NotFound,
    PermissionDenied,
    RateLimited,
    ServerError,
    ServiceError,
)

_GATEWAY_HINT = "check that the service runs, then retry: the gateway could not connect to the model server"
_KEY_HINT = (
    "check the API key: MaaS requires 'Authorization: Bearer <key>', and a key of inference 2.0 is bound to a service"
)

#: Error class and hint of each code.
CODES: dict[str, tuple[type[ServiceError], str]] = {
    "ModelArts.4104": (InvalidRequest, "send fewer or smaller images: the body exceeds the limit of the service"),
    "ModelArts.4203": (NotFound, "start the service, or check the id in the endpoint: it was stopped or deleted"),
    "ModelArts.4205": (ServerError, "stream, or reduce max_tokens: the connection timed out"),
    "ModelArts.4206": (RateLimited, "raise the traffic threshold of the API in the service's settings"),
    "ModelArts.4207": (PermissionDenied, "enable the paid service: the free quota is used up"),
    "ModelArts.4302": (ServerError, "check that the service runs: the gateway rejects requests, or limits itself"),
    "ModelArts.4503": (ServerError, _GATEWAY_HINT),
    "ModelArts.4905": (AuthenticationError, _KEY_HINT),
    "ModelArts.81001": (InvalidRequest, "check the parameters: one is wrong, or not supported by this model"),
    "ModelArts.81002": (AuthenticationError, _KEY_HINT),
    "ModelArts.81003": (AuthenticationError, _KEY_HINT),
    "ModelArts.81004": (PermissionDenied, "enable the model's service in the MaaS console"),
    "ModelArts.81005": (PermissionDenied, "enable the paid service: the free quota is used up"),
    "ModelArts.81006": (PermissionDenied, "pay the account's arrears: it is frozen"),
    "ModelArts.81009": (NotFound, "check the model's name"),
    "ModelArts.81011": (ContentFiltered, "change the prompt: content risk control blocked it"),
    "ModelArts.81015": (PermissionDenied, "extend the key's allow-list of addresses, models or endpoints"),
    "ModelArts.81101": (RateLimited, "send fewer requests a minute, or raise the quota"),
    "ModelArts.81103": (RateLimited, "use fewer tokens a minute, or raise the quota"),
    "APIG.0101": (NotFound, "check the endpoint's path and the service id in it: there is no such API"),
    "APIG.0203": (ServerError, "stream the response: the gateway allows the model server 40 to 60 s"),
    "APIG.0301": (
        AuthenticationError,
        "check the IAM token, whose scope must be a project, or AK, SK and this machine's clock",
    ),
    "APIG.0303": (
        AuthenticationError,
        "check the AppCode, or AppKey and AppSecret, and that the endpoint is the one for app authentication",
    ),
    "APIG.0304": (PermissionDenied, "authorize the app for this API"),
    "APIG.0308": (RateLimited, "send fewer requests, or raise the gateway's throttling limit"),
}

#: Hints by status, for responses without a known code.
STATUSES: dict[int, str] = {
    401: "check the credentials, and that the endpoint is the one for this kind of authentication",
    404: "check the model's name, the id of the service in the endpoint, and the path of the model's configuration",
    413: "send fewer or smaller images: the gateway accepts 12 MB at most",
    504: "stream, or reduce max_tokens: the gateway allows a prediction 40 to 60 s",
}
