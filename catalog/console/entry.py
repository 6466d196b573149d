"""The way in: login, and the store to begin with."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.views import LoginView, LogoutView
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path

from catalog.models import Member
from catalog.selectors.members import memberships_of


class EmailLoginForm(AuthenticationForm):
    """E-mail addresses are kept in lower case, so they are looked up in lower case."""

    error_messages = {
        "invalid_login": "This e-mail address and password don't belong together.",
        "inactive": "This account has been switched off.",
    }

    def clean_username(self) -> str:
        return str(self.cleaned_data["username"]).strip().lower()


class Login(LoginView):
    template_name = "registration/login.html"
    authentication_form = EmailLoginForm
    redirect_authenticated_user = True


@login_required
def console_home(request: HttpRequest) -> HttpResponse:
    """One store: its overview. Several: which? None: what to do."""
    assert request.user.is_authenticated
    memberships = memberships_of(user=request.user)
    if len(memberships) == 1:
        return redirect("console-overview", memberships[0].store.slug)
    may_open = any(member.role == Member.Role.OWNER for member in memberships)
    return render(request, "console/home.html", {"memberships": memberships, "may_open": may_open})


urlpatterns = [
    path("", console_home, name="console-home"),
    path("login/", Login.as_view(), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
]
