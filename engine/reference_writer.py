"""Fills the reference data from the configuration: once, before the stages start."""

from functools import cache

from engine.config import Config
from engine.directory import write_directory
from engine.instruments import Instrument
from engine.limits import ACCOUNTS_MAX, ASSETS_MAX, INSTRUMENTS_MAX, RULES_MAX, SCHEDULE_MAX
from engine.messages import Prevention
from engine.reference import (
    TERM_BOUNDS,
    UNLISTED_TERMS,
    AccountTerms,
    InstrumentTerms,
    ReferenceData,
    RuleEntry,
)
from ipc import memory
from ipc.record import Codec


def write_reference(reference: ReferenceData, config: Config) -> None:
    """Fill zeroed memory from the configuration."""
    assert len(config.instruments) <= INSTRUMENTS_MAX
    assert len(config.assets) <= ASSETS_MAX
    reference.asset_count = len(config.assets)
    reference.shard_count = config.venue.shards
    reference.tick_ns = config.venue.tick_ms * 1_000_000
    for number in range(INSTRUMENTS_MAX):
        _write_unlisted(reference.instruments[number])
        reference.instruments[number].shard = number % config.venue.shards
    for instrument in config.instruments:
        _write_terms(reference.instruments[instrument.index], instrument)
    _write_accounts(reference, config)
    _write_risk(reference, config)
    _write_schedule(reference, config)
    _write_bounds(reference)
    reference.instrument_count = len(config.instruments)
    write_directory(reference.directory, config.assets, config.instruments)


def _write_unlisted(terms: InstrumentTerms) -> None:
    for name, value in UNLISTED_TERMS.items():
        setattr(terms, name, value)


def _write_terms(terms: InstrumentTerms, instrument: Instrument) -> None:
    for name in (TERM_BOUNDS.keys() - {"shard"}) & set(Instrument.__slots__):
        value = getattr(instrument, name)
        if InstrumentTerms.fields[name].count:
            for index, each in enumerate(value):
                getattr(terms, name)[index] = each
        else:
            setattr(terms, name, value)
    terms.base_asset = instrument.base_asset_index
    terms.quote_asset = instrument.quote_asset_index
    terms.step_count = len(instrument.price_steps)
    for index, (first, step) in enumerate(instrument.price_steps):
        terms.step_from[index], terms.step_ticks[index] = first, step
    terms.listed = terms.was_listed = 1
    if instrument.shard is not None:
        terms.shard = instrument.shard


def _write_accounts(reference: ReferenceData, config: Config) -> None:
    _write_bytes(reference.accounts[0].address, _unopened_accounts())
    for account in config.accounts:
        terms = reference.accounts[account.number]
        terms.known, terms.prevention, terms.group = 1, account.prevention, account.group
        terms.kind, terms.tier = account.kind, account.tier


@cache
def _unopened_accounts() -> bytes:
    """What accounts begin with that are opened later: cash, alone in their group."""
    codec = Codec(AccountTerms)
    return b"".join(
        codec.encode(prevention=Prevention.NONE, group=number) for number in range(ACCOUNTS_MAX)
    )


def _write_risk(reference: ReferenceData, config: Config) -> None:
    risk, rules = config.risk, config.rules
    reference.day_start_ns = risk.day_start_ns
    reference.fee_account = -1 if risk.fee_account is None else risk.fee_account
    payer = risk.insurance_account
    reference.insurance_account = -1 if payer is None else payer
    assert len(rules) <= RULES_MAX
    codec = Codec(RuleEntry)
    entries = b"".join(codec.encode(**rule._asdict()) for rule in rules)
    _write_bytes(reference.rules[0].address, entries)
    reference.rule_count = len(rules)


def _write_bytes(address: int, content: bytes) -> None:
    region = memory.find(address, len(content))
    start = region.offset(address, len(content))
    region.view[start : start + len(content)] = content


def _write_schedule(reference: ReferenceData, config: Config) -> None:
    entries = sorted(
        (entry.second, instrument.index, entry.phase, entry.weekdays)
        for instrument in config.instruments
        for entry in instrument.schedule
    )
    assert len(entries) <= SCHEDULE_MAX
    for index, (second, instrument_index, phase, weekdays) in enumerate(entries):
        entry = reference.schedule[index]
        entry.second, entry.instrument = second, instrument_index
        entry.phase, entry.weekdays = phase, weekdays
    reference.schedule_count = len(entries)


def _write_bounds(reference: ReferenceData) -> None:
    assets = (0, reference.asset_count - 1)
    bounds = {**TERM_BOUNDS, "base_asset": assets, "quote_asset": assets}
    for name, (least, most) in bounds.items():
        if InstrumentTerms.fields[name].count:
            for index in range(InstrumentTerms.fields[name].count):
                getattr(reference.least, name)[index] = least
                getattr(reference.most, name)[index] = most
        else:
            setattr(reference.least, name, least)
            setattr(reference.most, name, most)
