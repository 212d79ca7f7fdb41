"""Loading a tokenizer as its file defines it.

`AutoTokenizer` chooses a class by the model's type, and some classes (transformers 5's Qwen2 one) put their own
splitting rules in place of those in tokenizer.json: a model trained with other rules then reads garbage. Where there is
a tokenizer.json it is taken as it stands.
"""

from __future__ import annotations

from pathlib import Path as FilePath
from typing import Any

from transformers import AutoTokenizer, PreTrainedTokenizerFast


def load_tokenizer(path: str | FilePath, *, trust_remote_code: bool = False) -> Any:
    """The tokenizer of a directory or hub id.

    Raises:
        OSError, ValueError: As transformers raises them, when there is none.
    """
    if FilePath(path).is_dir() and not (FilePath(path) / "tokenizer.json").is_file():
        return AutoTokenizer.from_pretrained(path, trust_remote_code=trust_remote_code)
    try:
        return PreTrainedTokenizerFast.from_pretrained(path)
    except (OSError, ValueError):
        return AutoTokenizer.from_pretrained(path, trust_remote_code=trust_remote_code)
