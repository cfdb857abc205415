"""Opens a staged model folder as a user would, in a process that cannot import this project.

Run as a script, never imported: `python -I clean_load.py MODEL_FOLDER`. It prints one line of JSON: the two classes
that opened the folder, the greatest difference of their logits, and the logits' digest.
"""

import hashlib
import json
import sys

OURS = ("modeling_santa", "data_recipes", "eval_multipl_e", "hf_santa")


class Absent:
    """Makes an import of this project fail, as it does on a machine without it."""

    def find_spec(self, name: str, path: object = None, _target: object = None) -> None:
        """Refuse our packages and know nothing of others."""
        if path is None and name in OURS:
            raise ModuleNotFoundError(f"No module named {name!r}: this process stands for a machine without it.")


def main(folder: str) -> None:
    """Open the folder with remote code and with the native class, compare, and print the result."""
    sys.meta_path.insert(0, Absent())
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    remote = AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=True).eval()
    native = AutoModelForCausalLM.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids = tokenizer(["def add(a, b):\n    return a + b\n" * 4], return_tensors="pt")["input_ids"]
    with torch.no_grad():
        remote_logits, native_logits = remote(ids).logits, native(ids).logits
    answer = {
        "classes": [f"{type(model).__module__}.{type(model).__qualname__}" for model in (remote, native)],
        "max_abs_logit_difference": (remote_logits - native_logits).abs().max().item(),
        "max_abs_logit": remote_logits.abs().max().item(),
        "tokens": ids.shape[1],
        "logits_sha256": hashlib.sha256(remote_logits.contiguous().numpy().tobytes()).hexdigest(),
        "can_import_hf_santa": _can_import("hf_santa"),
    }
    print(json.dumps(answer))


def _can_import(name: str) -> bool:
    try:
        __import__(name)
    except ModuleNotFoundError:
        return False
    return True


if __name__ == "__main__":
    main(sys.argv[1])
