"""What each language calls itself, as prompts write it (specification of `patch`, section 2)."""

from collections.abc import Mapping, Sequence

from polylore.errors import ConfigError

ENDONYMS = {
    "en": "English",
    "fr": "Français",
    "de": "Deutsch",
    "es": "Español",
    "it": "Italiano",
    "nl": "Nederlands",
    "pl": "Polski",
    "ru": "Русский",
    "et": "Eesti",
    "fi": "Suomi",
    "cy": "Cymraeg",
    "sw": "Kiswahili",
    "zh": "中文",
    "yue": "粵語",
    "ja": "日本語",
    "ko": "한국어",
    "hi": "हिन्दी",
    "ar": "العربية",
    "he": "עברית",
}
"""Language -> its own name."""


def endonyms(languages: Sequence[str], given: Mapping[str, str]) -> dict[str, str]:
    """Names of the languages, those that the caller gives first.

    Raises:
        ConfigError: languages without a name; the message lists them.
    """
    known = {**ENDONYMS, **given}
    missing = [lang for lang in languages if lang not in known]
    if missing:
        raise ConfigError(
            f"Prompts need the own name of {', '.join(missing)}; give it as "
            f"plan.names='{{{missing[0]}: NAME}}'."
        )
    return {lang: known[lang] for lang in languages}
