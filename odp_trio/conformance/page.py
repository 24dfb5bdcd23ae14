"""The report as one page, for people: nothing is loaded from elsewhere, and no script runs."""

from __future__ import annotations

from collections import Counter
from html import escape
from typing import Final

from odp_trio.conformance.registry import GROUPS
from odp_trio.conformance.results import Outcome, Result, Run
from odp_trio.conformance.sentences import Sentence, read_sentences

_STYLE: Final = """
:root { color-scheme: light dark; --ink: #1c2430; --soft: #5c6878; --paper: #fff; --card: #f5f7fa; --line: #dbe1e8;
  --passed: #17803d; --failed: #c2231f; --broken: #8b2fb8; --skipped: #8a6100; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6eaf0; --soft: #9aa6b5; --paper: #12161c; --card: #1b2129;
  --line: #313b47; --passed: #4cc777; --failed: #ff7a73; --broken: #d08cf0; --skipped: #e0b34a; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 68rem; padding: 2rem 1.25rem 5rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.7rem; margin: 0; } h2 { font-size: 1.25rem; margin: 2.75rem 0 .75rem; } h3 { margin: 1.5rem 0 .5rem; }
p { margin: .35rem 0; } .soft { color: var(--soft); } code { font: .87em ui-monospace, monospace; }
.verdict { margin: 1.25rem 0; padding: 1rem 1.25rem; border-left: .4rem solid; border-radius: .4rem; background: var(--card);
  font-size: 1.15rem; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(11rem, 1fr)); gap: .75rem; }
.tile { background: var(--card); border-radius: .4rem; padding: .75rem 1rem; }
.tile b { display: block; font-size: 1.9rem; line-height: 1.2; font-variant-numeric: tabular-nums; }
table { width: 100%; border-collapse: collapse; } th, td { text-align: left; padding: .4rem .6rem; vertical-align: top;
  border-bottom: 1px solid var(--line); } th { color: var(--soft); font-weight: 600; font-size: .85rem; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.bar { display: flex; height: .6rem; min-width: 8rem; border-radius: .3rem; overflow: hidden; background: var(--line);
  margin-top: .5rem; } .bar i { display: block; }
.passed { color: var(--passed); } .failed { color: var(--failed); } .broken { color: var(--broken); }
.skipped { color: var(--skipped); } .bar i { background: currentColor; }
.zero { color: var(--soft); opacity: .55; } .word { font-weight: 600; white-space: nowrap; }
details { border-bottom: 1px solid var(--line); padding: .45rem 0; } summary { cursor: pointer; }
summary .id { font: .87em ui-monospace, monospace; color: var(--soft); } details > div { padding: .5rem 0 .75rem 1.1rem; }
.notes { font: .82rem/1.45 ui-monospace, monospace; overflow-x: auto; } .notes td { word-break: break-word; padding: .2rem .5rem; }
.notes td:first-child { white-space: nowrap; color: var(--soft); }
.why { color: var(--failed); font: .87em/1.5 ui-monospace, monospace; white-space: pre-wrap; overflow-wrap: anywhere; }
.wide { overflow-x: auto; } .sentences td:nth-child(2) { width: 48%; min-width: 14rem; }
.sentences td:nth-child(3) { white-space: nowrap; } .sentences a { display: inline-block; margin-right: .5rem; overflow-wrap: anywhere; }
a { color: inherit; } .word.soft { font-weight: 400; }
@media print { details { break-inside: avoid; } }
"""
_WORDS: Final = {
    Outcome.PASSED: "passed",
    Outcome.FAILED: "failed",
    Outcome.BROKEN: "ended with an error",
    Outcome.SKIPPED: "skipped",
}
_STATES: Final = {"proven": "passed", "not proven": "failed", "not shown": "skipped", "not testable": "soft"}
"""What may be said of a sentence, and how it looks."""


def page(run: Run) -> str:
    """Return the page."""
    counts = run.counts()
    bad = counts["failed"] + counts["broken"]
    ran = counts["passed"] + bad
    if not ran:
        verdict, tone = "Nothing could be checked here.", "skipped"
    elif bad:
        verdict, tone = f"{bad} of {ran} checks did not pass.", "failed"
    else:
        verdict, tone = f"All {ran} checks that could run here passed.", "passed"
    if counts["skipped"]:
        verdict += f" {counts['skipped']} could not be shown by this target, and say why."
    tiles = "".join(
        f'<div class="tile"><b class="{_tone(outcome, counts[outcome.value])}">{counts[outcome.value]}</b>{word}</div>'
        for outcome, word in _WORDS.items()
    )
    body = f"""<h1>Does it behave as ODP does?</h1>
<p class="soft">{escape(run.target)} · {escape(run.began[:16].replace("T", " "))} UTC · {run.seconds:.0f} s · odp-trio {escape(run.version)}</p>
<p class="verdict" style="border-color: var(--{tone})">{escape(verdict)}</p>
<div class="tiles">{tiles}</div>
{_troubles(run)}
<h2>Groups</h2>{_groups(run)}
<h2>The requirement, sentence by sentence</h2>
<p>{_covered(run)}</p>
<p class="soft">Every sentence of the two documents, in other words, and the checks that prove it.</p>{_sentences(run)}
<h2>Every check</h2>
<p class="soft">Open one to read what was asked and what was seen.</p>{_checks(run)}"""
    title = f"Conformance: {escape(run.target)}"
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>'
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head>{head}<style>{_STYLE}</style></head><body>\n{body}\n</body></html>\n'
    )


def _tone(outcome: Outcome, count: int) -> str:
    return outcome.value if count else "zero"


def _troubles(run: Run) -> str:
    bad = [one for one in run.results if one.outcome in (Outcome.FAILED, Outcome.BROKEN)]
    return "<h2>What did not pass</h2>" + "".join(_check(one, is_open=True) for one in bad) if bad else ""


def _groups(run: Run) -> str:
    rows = []
    for group, title in GROUPS.items():
        mine = [one.outcome for one in run.results if one.group == group]
        if not mine:
            continue
        numbers = {outcome: mine.count(outcome) for outcome in Outcome}
        cells = "".join(f'<td class="n {_tone(outcome, count)}">{count}</td>' for outcome, count in numbers.items())
        bar = "".join(f'<i class="{one.value}" style="flex: {count}"></i>' for one, count in numbers.items() if count)
        name = f'<a href="#group-{group}">{escape(title)}</a>'
        rows.append(f'<tr><td>{name}</td>{cells}<td><div class="bar">{bar}</div></td></tr>')
    heads = "".join(f'<th class="n">{outcome.value}</th>' for outcome in Outcome)
    return f'<div class="wide"><table><tr><th>group</th>{heads}<th></th></tr>{"".join(rows)}</table></div>'


def _results_by_sentence(run: Run) -> dict[str, list[Result]]:
    found: dict[str, list[Result]] = {}
    for result in run.results:
        for sentence in result.proves:
            found.setdefault(sentence, []).append(result)
    return found


def _covered(run: Run) -> str:
    """Say how many sentences were proven."""
    by_sentence, sentences = _results_by_sentence(run), read_sentences()[1]
    states = Counter(_state(one, by_sentence.get(one.id, [])) for one in sentences)
    told = [f'<b class="{tone}">{states[word]}</b> {word}' for word, tone in _STATES.items() if states[word]]
    return f"Of {len(sentences)} sentences: {', '.join(told)}."


def _sentences(run: Run) -> str:
    documents, sentences = read_sentences()
    by_sentence = _results_by_sentence(run)
    parts = []
    for letters, title in documents.items():
        rows = "".join(
            _sentence(one, by_sentence.get(one.id, [])) for one in sentences if one.id.startswith(f"{letters}-")
        )
        heads = "<tr><th></th><th>sentence</th><th>state</th><th>checks</th></tr>"
        table = f'<table class="sentences">{heads}{rows}</table>'
        parts.append(f'<h3>{escape(title)}</h3><div class="wide">{table}</div>')
    return "".join(parts)


def _state(sentence: Sentence, results: list[Result]) -> str:
    outcomes = {one.outcome for one in results}
    if outcomes & {Outcome.FAILED, Outcome.BROKEN}:
        return "not proven"
    if Outcome.PASSED in outcomes:
        return "proven"
    return "not testable" if sentence.untestable else "not shown"


def _sentence(sentence: Sentence, results: list[Result]) -> str:
    word = _state(sentence, results)
    state = f'<span class="word {_STATES[word]}">{word}</span>'
    names = " ".join(f'<a class="{one.outcome.value}" href="#{one.id}"><code>{one.id}</code></a>' for one in results)
    checks = names or f'<span class="soft">{escape(sentence.untestable or "no check of it was run")}</span>'
    where = f'<br><span class="soft">{escape(sentence.section)}</span>'
    return f'<tr><td class="n">{sentence.id}</td><td>{escape(sentence.text)}{where}</td><td>{state}</td><td>{checks}</td></tr>'


def _checks(run: Run) -> str:
    parts = []
    for group, title in GROUPS.items():
        mine = [_check(one, anchor=True) for one in run.results if one.group == group]
        if mine:
            parts.append(f'<h3 id="group-{group}">{escape(title)}</h3>{"".join(mine)}')
    return "".join(parts)


def _check(result: Result, *, is_open: bool = False, anchor: bool = False) -> str:
    name = f' id="{result.id}"' if anchor else ""
    word = f'<span class="word {result.outcome.value}">{_WORDS[result.outcome]}</span>'
    tone = "why" if result.outcome in (Outcome.FAILED, Outcome.BROKEN) else "soft"
    reason = f'<p class="{tone}">{escape(result.reason)}</p>' if result.reason else ""
    proves = f"<p>Proves {', '.join(result.proves)}.</p>" if result.proves else ""
    rows = "".join(
        f"<tr><td>{escape(one.who)}</td><td>{escape(one.asked)}</td><td>{escape(one.seen)}</td></tr>"
        for one in result.notes
    )
    heads = "<tr><th></th><th>asked</th><th>seen</th></tr>"
    notes = f'<div class="notes"><table>{heads}{rows}</table></div>' if rows else ""
    time = f' <span class="soft">{result.seconds:.2f} s</span>' if result.outcome is not Outcome.SKIPPED else ""
    return (
        f"<details{name}{' open' if is_open else ''}><summary>{word} {escape(result.sentence)} "
        f'<span class="id">{result.id}</span>{time}</summary><div>{reason}{proves}{notes}</div></details>'
    )
