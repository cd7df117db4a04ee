"""Sessions for browsers: opened with the bank's token."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth import aget_user, alogin, alogout, get_user_model
from django.http import HttpRequest

from bankweb.identity import audit
from bankweb.identity.tokens import is_token


class Holder:
    """The user of a request that carries the token in its header: no row, no query."""

    is_authenticated = True
    is_anonymous = False
    is_active = True
    pk = None

    @property
    def username(self) -> str:
        return str(settings.BANK_ACTOR)

    def __str__(self) -> str:
        return self.username


HOLDER = Holder()


async def sign_in(request: HttpRequest, token: str) -> bool:
    """Open a session for the holder of ``token``; False when it is not the bank's."""
    if not is_token(token):
        return False
    users = get_user_model().objects
    user, is_new = await users.aget_or_create(
        username=settings.BANK_ACTOR, defaults={"is_staff": True, "is_superuser": True}
    )
    if is_new:
        user.set_unusable_password()
        await user.asave()
    await alogin(request, user, backend=settings.AUTHENTICATION_BACKENDS[0])
    await audit.record(user.username, "sign-in", {}, "ok")
    return True


async def sign_out(request: HttpRequest) -> None:
    actor = audit.actor_of(request)
    await alogout(request)
    await audit.record(actor, "sign-out", {}, "ok")


async def signed_in_user(request: HttpRequest) -> object | None:
    """The user of the request's session, None when there is none."""
    if settings.SESSION_COOKIE_NAME not in request.COOKIES:
        return None
    user = await aget_user(request)
    return user if user.is_authenticated else None
