"""Making an account: a person who can log in."""

from __future__ import annotations

from collections.abc import Mapping

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, transaction

from catalog.models import User

NAME_MAX_CHARS = 120
EMAIL_MAX_CHARS = 254


class AccountRefused(Exception):
    """An account that can't be; `fields` says for each of e-mail, name and password what is wrong."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        self.fields = dict(fields)
        super().__init__("; ".join(f"{name}: {why}" for name, why in fields.items()))


def account_create(*, email: str, name: str, password: str) -> User:
    """Make an account that belongs to no store yet.

    The password is judged by Django's validators. Raises AccountRefused, also for an address that
    has an account; of two at the same time one gets it.
    """
    email, name = email.strip().lower(), name.strip()
    wrong = {}
    try:
        validate_email(email)
    except ValidationError:
        wrong["email"] = "This is no e-mail address."
    if len(email) > EMAIL_MAX_CHARS:
        wrong["email"] = f"An address has at most {EMAIL_MAX_CHARS} characters."
    if not 1 <= len(name) <= NAME_MAX_CHARS or "\x00" in name:
        wrong["name"] = f"A name has 1 to {NAME_MAX_CHARS} letters."
    try:
        validate_password(password, User(email=email, name=name))
    except ValidationError as error:
        wrong["password"] = " ".join(error.messages)
    if wrong:
        raise AccountRefused(wrong)
    try:
        with transaction.atomic():
            return User.objects.create_user(email, password, name=name)
    except IntegrityError as error:
        raise AccountRefused(
            {"email": "This address has an account already: log in with it."}
        ) from error
