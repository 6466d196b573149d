"""Words of scripts that put no spaces between them.

Chinese by jieba's dictionary, Japanese by janome's; what neither knows, and every other such script
(Thai, Lao, Khmer, Myanmar), as character bigrams.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache

# Without the middle dot between them, which parts foreign names in Chinese as well.
_KANA = re.compile(r"[\u3041-\u30fa\u30fc-\u30ff\uff66-\uff9f]")
_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
# Particles, auxiliary verbs, symbols: "of", "with", "-ed".
_EMPTY_WORDS = ("助詞", "助動詞", "記号")

Segment = Callable[[str], list[str]]


def segmenter(text: str) -> Segment:
    """How the runs of a text are cut into words.

    Kana anywhere make it Japanese, since Han characters alone don't tell the two languages apart.

    Parameters
    ----------
    text : str
        All of it.

    Returns
    -------
    function of a run without spaces to its words, in their order

    Examples
    --------
    >>> segmenter("运动鞋")("运动鞋")
    ['运动', '运动鞋']
    >>> segmenter("陶器のマグカップ")("陶器のマグカップ")
    ['陶器', 'マグカップ']
    """
    if _KANA.search(text):
        return _japanese_words
    return _chinese_words if _HAN.search(text) else bigrams


def bigrams(run: str) -> list[str]:
    """n - 1 pairs of neighbours; the character itself if it is alone.

    Examples
    --------
    >>> bigrams("绿茶杯"), bigrams("茶")
    (['绿茶', '茶杯'], ['茶'])
    """
    return [run[i : i + 2] for i in range(max(len(run) - 1, 1))]


def _chinese_words(run: str) -> list[str]:
    """Words and, in front of a long one, the words in it: a shoe is near a sports shoe."""
    return _backed_off(_chinese_dictionary()(run))


def _japanese_words(run: str) -> list[str]:
    return _backed_off(_japanese_dictionary()(run))


def _backed_off(words: Iterable[str]) -> list[str]:
    """Single characters are what the dictionary cut off: pairs of them, with the one that follows.

    So "green tea cup", cut into "green" and "tea cup", has a "green tea" all the same.
    """
    found: list[str] = []
    alone = ""
    for word in words:
        if len(word) == 1:
            alone += word
            continue
        if alone:
            found += bigrams(alone + word[0])
            alone = ""
        found.append(word)
    return found + bigrams(alone) if alone else found


@lru_cache(maxsize=1)
def _chinese_dictionary() -> Callable[[str], Iterable[str]]:
    """jieba's dictionary and search mode, read once, at the first Chinese text."""
    import rjieba

    # Without the hidden Markov model, which guesses names of people.
    return lambda run: rjieba.cut_for_search(run, False)


@lru_cache(maxsize=1)
def _japanese_dictionary() -> Callable[[str], Iterable[str]]:
    """60 MB of mapped memory and .4 ms a title."""
    from janome.tokenizer import Tokenizer

    tokenizer = Tokenizer(mmap=True)

    def words(run: str) -> list[str]:
        return [
            token.surface
            for token in tokenizer.tokenize(run)
            if not token.part_of_speech.startswith(_EMPTY_WORDS)
        ]

    return words
