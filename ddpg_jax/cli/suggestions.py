"""What was meant by an unknown word of the command line: an option of another library, or a typo."""

import difflib
import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ddpg_jax.cli.elsewhere import ALGORITHMS, NO_OPTION, ONLY_IN, OPTIONS, SWITCHES
from ddpg_jax.core.settings import SHOWN, shown
from ddpg_jax.envs.elsewhere import Meant, meant

NEAR = 0.72  # how alike two words must be, as difflib counts it: `dppg` is near ddpg, and `a2c` is not near sac
MOST = 30  # options of one command line that are answered
VALUE = 40  # characters of a value in such an answer


class Typed(NamedTuple):
    """An option as it was typed."""

    name: str  # as `name_of` returns it
    flag: str  # without its value, cut off where it is long
    values: tuple[str, ...]


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """The end of a refusal: the known words that are near and, where there are none, all of them."""
    near = nearest(word.lower(), known)
    return f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(known)}."


def name_of(flag: str) -> str:
    """The option that a word of the command line names: "replay-capacity" of `--replay_capacity=3`."""
    return flag.partition("=")[0].removeprefix("--").replace("_", "-")


def unknown_algorithm(word: str, known: Sequence[str]) -> str:
    """A refusal of an algorithm: what it is, where it is known elsewhere, and what is nearest to it here."""
    other = ALGORITHMS.get(word.lower().replace("-", ""))
    if other is None or other.nearest not in known:
        return f"there is no algorithm {shown(word)}; {did_you_mean(word, known)}"
    return (
        f"there is no algorithm {shown(word)}, which is {other.what}; {other.nearest} is nearest to it, and there are "
        f"{', '.join(known)}."
    )


def meant_algorithm(word: str, known: Sequence[str]) -> str | None:
    """The algorithm that is nearest to an unknown one, if one is."""
    other = ALGORITHMS.get(word.lower().replace("-", ""))
    near = [other.nearest] if other else nearest(word.lower(), known)
    return near[0] if near and near[0] in known else None


def unknown_option(args: Sequence[str], known: Sequence[str], prog: str) -> str:
    """A refusal of all options that the command at hand does not have; nothing where it has all of them."""
    typed = list(_options(args))
    unknown = [option for option in typed if not _is_known(option.name, known)]
    if not unknown:
        return ""
    if len(unknown) == 1 and not any(_foreign_env(option) for option in typed):
        return f"`{prog}` has no option {unknown[0].flag}; {_single(unknown[0], known, prog)}"
    names = {option.name for option in typed}
    wrong = [option for option in typed if option in unknown or (option.name == "env" and _foreign_env(option))]
    answers = dict.fromkeys(_answer(option, known, names) for option in wrong[:MOST])
    return f"`{prog}` has other options: {'; '.join(answers)}; `{prog} --help` lists all."


def nearest(word: str, known: Sequence[str]) -> list[str]:
    """The known words that begin with a word or, where there are none, the one that is most like it, if one is."""
    if not word or len(word) > SHOWN:
        return []
    alike = [name for name in known if name.startswith(word)] or [
        name for name in known if sorted(name) == sorted(word)
    ]
    return alike or difflib.get_close_matches(word, known, 1, NEAR)


def _options(args: Sequence[str]) -> Iterator[Typed]:
    """The options of a command line, each with the words up to the next one."""
    for place, arg in enumerate(args):
        if arg.startswith("--"):
            flag, joined, value = arg.partition("=")
            after = itertools.takewhile(lambda word: not word.startswith("--"), args[place + 1 :])
            cut = flag if len(flag) <= SHOWN else f"{flag[:SHOWN]}..."
            yield Typed(name_of(arg), cut, (value,) if joined else tuple(after))


def _is_known(name: str, known: Sequence[str]) -> bool:
    return name in known or name.removeprefix("no-") in known


def _single(option: Typed, known: Sequence[str], prog: str) -> str:
    """What is said of the only unknown option."""
    here = " and ".join(f"--{ours}" for ours in OPTIONS.get(option.name, ()) if ours in known)
    why = _why_not(option, known)
    near = here or (" or ".join(f"--{ours}" for ours in nearest(option.name, known)) if not why else "")
    return f"did you mean {near}?" if near else f"{why}." if why else f"`{prog} --help` lists all."


def _why_not(option: Typed, known: Sequence[str]) -> str:
    """Why an option from elsewhere has no counterpart in a command that trains; "" where that is not known."""
    if "num-envs" not in known:
        return ""
    only = [ours for ours in OPTIONS.get(option.name, ()) if ours in ONLY_IN]
    if not only:
        return NO_OPTION.get(option.name, "")
    having = ONLY_IN[only[0]]
    return f"only {' and '.join(having)} {'have' if len(having) > 1 else 'has'} it, as --{only[0]}"


def _answer(option: Typed, known: Sequence[str], names: set[str]) -> str:
    """What is to be typed instead of one of several unknown options, with its values."""
    if SWITCHES.get(option.name) in names:
        return f"{option.flag} belongs to --{SWITCHES[option.name]}"
    env = _foreign_env(option)
    values = [env.known] if env and env.known else [_brief(value) for value in option.values[:4]]
    about = f" ({env.about})" if env else ""
    here = [ours for ours in OPTIONS.get(option.name, (option.name,)) if ours in known]
    if here:
        typed = f"{option.flag} {_brief(option.values[0])}" if option.name == "env" else option.flag
        return f"{typed} is `{' '.join(' '.join([f'--{ours}', *values]) for ours in here)}`{about}"
    if why := _why_not(option, known):
        return f"{option.flag} is not here ({why})"
    near = " or ".join(f"--{ours}" for ours in nearest(option.name, known))
    return f"{option.flag} is {near}" if near else f"{option.flag} is not here"


def _brief(value: str) -> str:
    words = ascii(value)[1:-1]
    return words if len(words) <= VALUE else f"{words[:VALUE]}..."


def _foreign_env(option: Typed) -> Meant | None:
    """What is here of an environment of another library that an option names."""
    is_env = option.name == "env" or OPTIONS.get(option.name) == ("env",)
    return meant(option.values[0]) if is_env and option.values else None
