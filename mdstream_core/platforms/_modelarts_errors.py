"""What Huawei's error codes mean. "?" in the reference: the status is not stated there, so the code decides.

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

_GATEWAY_HINT = "the gateway did not reach the model server: check that the service runs; a new attempt may get through"
_KEY_HINT = (
    "check the API key: MaaS wants 'Authorization: Bearer <key>', and a key of inference 2.0 is bound to a service"
)

#: Code: the class, and what to do.
CODES: dict[str, tuple[type[ServiceError], str]] = {
    "ModelArts.4104": (InvalidRequest, "the body exceeds the service's own limit: send fewer or smaller images"),
    "ModelArts.4203": (NotFound, "the service was stopped or deleted: start it, or check the id in the endpoint"),
    "ModelArts.4205": (ServerError, "the connection timed out: stream, or ask for fewer tokens"),
    "ModelArts.4206": (RateLimited, "the API's traffic threshold is reached: raise it in the service's settings"),
    "ModelArts.4207": (PermissionDenied, "the free quota is used up: enable the paid service"),
    "ModelArts.4302": (ServerError, "the gateway refuses or protects itself: check that the service runs"),
    "ModelArts.4503": (ServerError, _GATEWAY_HINT),
    "ModelArts.4905": (AuthenticationError, _KEY_HINT),
    "ModelArts.81001": (InvalidRequest, "a parameter is wrong, or one that this model does not know"),
    "ModelArts.81002": (AuthenticationError, _KEY_HINT),
    "ModelArts.81003": (AuthenticationError, _KEY_HINT),
    "ModelArts.81004": (PermissionDenied, "enable the model's service in the MaaS console"),
    "ModelArts.81005": (PermissionDenied, "the free quota is used up: enable the paid service"),
    "ModelArts.81006": (PermissionDenied, "the account is frozen: settle what is owed"),
    "ModelArts.81009": (NotFound, "check the model's name"),
    "ModelArts.81011": (ContentFiltered, "content risk control stopped it: ask in other words"),
    "ModelArts.81015": (PermissionDenied, "the key's allow-list (IP, model or endpoint) does not have this"),
    "ModelArts.81101": (RateLimited, "the requests of this minute are used up: ask less often, or raise the quota"),
    "ModelArts.81103": (RateLimited, "the tokens of this minute are used up: ask less often, or raise the quota"),
    "APIG.0101": (NotFound, "no such API: check the endpoint's path and the id of the service in it"),
    "APIG.0203": (ServerError, "the model server took too long: the gateway allows 40 to 60 s; stream the answer"),
    "APIG.0301": (AuthenticationError, "check the IAM token (its scope must be a project), or AK, SK and the clock"),
    "APIG.0303": (AuthenticationError, "check the AppCode, or AppKey and AppSecret; they need the App-auth address"),
    "APIG.0304": (PermissionDenied, "authorize the app for this API"),
    "APIG.0308": (RateLimited, "the gateway's throttling: ask less often, or raise its limit"),
}

#: What to do about a status where no code says more.
STATUSES: dict[int, str] = {
    401: "check the credentials, and that the address is the one for this kind of authentication",
    404: "check the endpoint: the id of the service, and the path that its model's configuration gives",
    413: "the gateway takes 12 MB at most: send fewer or smaller images",
    504: "the gateway allows a prediction 40 to 60 s: stream, or ask for fewer tokens",
}
