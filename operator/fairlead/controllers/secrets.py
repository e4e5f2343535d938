"""Reading the Secrets that `http` tasks name: as the run's service account, in the run's namespace, for one request.

Nothing is kept or logged, and no error repeats a value.
"""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as NotBase64

from fairlead.api.work import RenderedHttp
from fairlead.egress.request import SecretUnavailable
from fairlead.kube.errors import ApiError, NotFound
from fairlead.kube.resources import SECRETS
from fairlead.kube.transport import ApiClient

from .run import Run

__all__ = ["read_secrets"]


async def read_secrets(client: ApiClient, run: Run, work: RenderedHttp) -> dict[tuple[str, str], str]:
    """Return the values of all headers that come from Secrets, by the Secret's name and key.

    Raises:
        SecretUnavailable: one is missing, or the service account must not read it.
        ApiError: they cannot be read now: the API server is away, or the operator may not impersonate.
    """
    wanted = {(each["secretName"], each["secretKey"] or "") for each in work["headers"] if each["secretName"]}
    found: dict[tuple[str, str], str] = {}
    for name in sorted({name for name, _ in wanted if name is not None}):
        data = await _data(client, run, name)
        for key in sorted(key for each, key in wanted if each == name):
            if key not in data:
                raise SecretUnavailable("SecretNotFound", f"Secret {name!r} has no key {key!r}")
            try:
                found[name, key] = b64decode(data[key]).decode()
            except (NotBase64, UnicodeDecodeError):
                raise SecretUnavailable("SecretInvalid", f"key {key!r} of Secret {name!r} is no text") from None
    return found


async def _data(client: ApiClient, run: Run, name: str) -> dict[str, str]:
    try:
        view = client.acting_as(run.owner.namespace, run.service_account)
        raw = await view.get(SECRETS, name, run.owner.namespace)
    except NotFound:
        raise SecretUnavailable("SecretNotFound", f"there is no Secret {name!r}") from None
    except ValueError as error:
        raise SecretUnavailable("SecretInvalid", str(error)) from None
    except ApiError as error:
        if error.is_transient or error.is_impersonation:
            raise
        raise SecretUnavailable("SecretForbidden", error.message) from None
    return raw.get("data") or {}
