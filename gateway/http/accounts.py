"""Accounts over HTTP: who trades, what they have, which limits they have, and risk as a whole.

Balances, positions and limits are read from risk's memory when somebody asks (engine.risk.views).
"""

import asyncio
import time
from typing import Final

from aiohttp import web

from engine.messages import Phase
from engine.rules import RuleNumber
from gateway.documents import Document
from gateway.errors import NoSuchAccount
from gateway.http.guard import Guard, rendered
from gateway.http.parameters import account_number, check_query
from gateway.risk_documents import (
    KINDS,
    amounts_document,
    balance_document,
    limit_document,
    owner_document,
    position_document,
    refusals_document,
)
from gateway.service import Service

ACCOUNT_ENDPOINTS: Final = {
    "GET /api/v1/accounts": "who trades",
    "GET /api/v1/accounts/{account}": "balances and positions of an account",
    "GET /api/v1/accounts/{account}/limits": "rules that are on for an account, and their usage",
    "GET /api/v1/risk": "refusals, halts, accounts in trouble, deposits",
}


LIMITS_PER_TURN: Final = 128
"""Limits that are made before the loop serves others: some five milliseconds."""


class AccountRoutes:
    """The handlers, over one service."""

    def __init__(self, service: Service) -> None:
        """`service` is started before the first request."""
        self._assets = service.config.assets
        self._accounts = service.view.accounts
        self._listings = service.view.listings
        self._risk = service.risk

    def add_to(self, router: web.UrlDispatcher, guard: Guard) -> None:
        """Put the endpoints into a router."""
        for path, handler in (
            ("/api/v1/accounts", self.list_accounts),
            ("/api/v1/accounts/{account}", self.show_account),
            ("/api/v1/accounts/{account}/limits", self.show_limits),
            ("/api/v1/risk", self.show_risk),
        ):
            router.add_route("GET", path, guard.around(handler))

    async def list_accounts(self, request: web.Request) -> web.Response:
        """GET /accounts: numbers, names, kinds."""
        check_query(request)
        accounts = [
            {"account": each.number, "name": each.name, "kind": KINDS[each.kind]}
            for each in self._accounts
        ]
        return rendered({"accounts": accounts})

    async def show_account(self, request: web.Request) -> web.Response:
        """GET /accounts/{account}."""
        check_query(request)
        number = self._number(request)
        instruments = self._listings.instruments
        owner = self._risk.owner(number)
        made = owner_document(number, self._accounts[number].name, owner)
        made["balances"] = [
            balance_document(each, self._assets) for each in self._risk.balances(number)
        ]
        made["positions"] = [
            position_document(each, instruments, self._assets)
            for each in self._risk.positions(number)
            if each.instrument in instruments  # else its LIST is an event that is still to come
        ]
        return rendered(made)

    async def show_limits(self, request: web.Request) -> web.Response:
        """GET /accounts/{account}/limits."""
        check_query(request)
        number = self._number(request)
        listed = [each.index for each in self._listings]
        instruments = self._listings.instruments
        limits = self._risk.limits(number, listed, time.time_ns())
        documents = []
        for each in limits:
            documents.append(limit_document(each, instruments, self._assets))
            if len(documents) % LIMITS_PER_TURN == 0:
                await asyncio.sleep(0)
        return rendered({"account": number, "limits": documents})

    async def show_risk(self, request: web.Request) -> web.Response:
        """GET /risk."""
        check_query(request)
        halted = [
            each.symbol
            for each in self._listings
            if self._listings.phases[each.index].phase == Phase.HALT
        ]
        return rendered(
            {
                "refusals": refusals_document(self._risk.refusals()),
                "halts": halted,
                "margin_calls": self._troubled(RuleNumber.MARGIN_STATE, "called"),
                "liquidations": self._troubled(RuleNumber.MARGIN_STATE, "liquidating"),
                "loss_stops": self._troubled(RuleNumber.LOSS_STATE, "stopped"),
                "deposits": amounts_document(self._risk.deposited(), self._assets),
            }
        )

    def _troubled(self, rule: RuleNumber, state: str) -> list[Document]:
        """Accounts, each with the asset that it is about."""
        return [
            {"account": account, "asset": self._assets[asset].name}
            for account, asset in self._accounts.in_state(rule, state)
        ]

    def _number(self, request: web.Request) -> int:
        number = account_number(request.match_info["account"])
        if number not in self._accounts:
            raise NoSuchAccount(f"there is no account {number}", "account")
        return number
