"""What the page says, as HTML; every text that is not ours is escaped."""

import html

from generation import Chunk
from loading import LoadedModel
from prompt import Prompt
from seen import WIDTH, SeenIndex

CARET = '<i class="caret"></i>'
FINISHED = {
    "end": "done",
    "length": "length limit reached",
    "time": "time limit reached",
}
CUT = {"length": "the text may be cut: raise Max new tokens", "time": "the text may be cut"}


def view(prompt: Prompt, chunk: Chunk | None) -> str:
    """Return the result as HTML: what the visitor wrote, and the generated part marked."""
    if chunk is None:
        return '<div class="result"><p class="blank">The result appears here, with the generated part marked.</p></div>'
    before, middle, after = (html.escape(part) for part in (prompt.prefix, chunk.middle, prompt.suffix or ""))
    caret = "" if chunk.finish else CARET
    # The leading span keeps a first line break, which a parser drops right after <pre>.
    return (
        '<div class="result"><pre tabindex="0" aria-label="Result">'
        f"<span>{before}</span><mark>{middle}</mark>{caret}<span>{after}</span></pre></div>"
    )


def progress(chunk: Chunk) -> str:
    """Return the line below the result: state, tokens, seconds, tokens per second, and what the model did not see."""
    words = [FINISHED[chunk.finish] if chunk.finish else "writing"]
    if chunk.finish == "end" and not chunk.middle:
        words = ["done: the model ended at once and wrote nothing, try another seed or a higher temperature"]
    words += [
        f"{chunk.tokens:,} token{'' if chunk.tokens == 1 else 's'}",
        f"{chunk.seconds:.1f} s",
        f"{chunk.tokens_per_second:.1f} tokens/s",
    ]
    if chunk.finish in CUT:
        words.append(CUT[chunk.finish])
    if chunk.seen_tokens < chunk.prompt_tokens:
        words.append(
            f"the model saw {chunk.seen_tokens:,} of {chunk.prompt_tokens:,} prompt tokens, those next to the gap"
        )
    return status(*words)


def status(*words: str) -> str:
    """Return a line of facts, the first of them bold."""
    first, *others = (html.escape(word) for word in words)
    return f'<p class="status"><b>{first}</b>{"".join(f" · {word}" for word in others)}</p>'


def refusal(words: str) -> str:
    """Return the line that says why a request was not served."""
    return f'<p class="status refusal"><b>Not run:</b> {html.escape(words)}</p>'


def header(loaded: LoadedModel) -> str:
    """Return the title and the what the model is, then its name, context, place and commit or weights' SHA-256."""
    facts = [
        f"<b>{html.escape(loaded.source.name)}</b>",
        f"{loaded.n_positions:,} tokens of context",
        f"{loaded.model.device.type} {str(loaded.model.dtype).removeprefix('torch.')}",
        f'<span title="{html.escape(loaded.fingerprint)}">{html.escape(_short(loaded.fingerprint))}</span>',
    ]
    return (
        f"<h1>SantaCoder</h1><p>A code model of {_in_words(loaded.parameters)} parameters: it completes Python, Java and "
        f"JavaScript, and fills gaps.</p><p class='facts'>{' · '.join(facts)}</p>"
    )


def training_data(middle: str, index: SeenIndex | None) -> str:
    """Return what the index says of a generated text, with the passages that are in the training data."""
    if index is None or not middle:
        return ""
    seen = index.look_up(middle)
    if not seen.checked_chars:
        return _training("too short to look up", f"{WIDTH} characters are needed")
    if not seen.spans:
        return _training(
            f"no copy of {index.always_found_from} characters or more",
            f"compared with {int(index.about['files']):,} files",
        )
    count = len(seen.spans)
    found = f"{count} passage{'s' if count > 1 else ''} of the generated text found in it"
    marks = "".join(f"<pre>{html.escape(middle[start:end])}</pre>" for start, end in seen.spans[:20])
    more = f"<p>and {count - 20} more</p>" if count > 20 else ""
    words = _training(found, "that code keeps its own licence")
    return f"{words}<details><summary>Show what was found</summary>{marks}{more}</details>"


def _training(first: str, then: str) -> str:
    return f'<p class="status">Training data: <b>{html.escape(first)}</b> · {html.escape(then)}</p>'


def _short(fingerprint: str) -> str:
    kind, _, digits = fingerprint.rpartition(" ")
    return f"{kind} {digits[:12]}"


def _in_words(count: int) -> str:
    for size, unit in ((1e9, "billion"), (1e6, "million"), (1e3, "thousand")):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return str(count)


def small_print(loaded: LoadedModel, index: SeenIndex | None) -> str:
    """Return what visitors should know: the model's limits, whose code it is, and what happens to theirs."""
    licence = f"<code>{html.escape(loaded.licence)}</code>" if loaded.licence else "not stated by the model"
    source = loaded.source
    url = html.escape(f"https://huggingface.co/{source.path}/blob/{source.revision or 'main'}/README.md")
    card = "<code>README.md</code> of the model folder"
    if not source.is_local:
        card = f'<a href="{url}" rel="noopener noreferrer">{html.escape(source.path)}</a>'
    return f"""<section><h2>What to expect</h2><p>This is a small model that continues text. It was not trained to follow
instructions or to answer questions: give it code, not requests. It often writes code that looks right and is wrong,
invents names of functions, repeats itself, and knows no project but the lines it is shown. Nothing it writes is
executed here. Read and test everything before use.</p></section>
<section><h2>Whose code</h2><p>The output can repeat code from the training data word for word; that code keeps its own
licence and may require attribution. {_index_words(index)} Model licence: {licence}. Model card: {card}.</p></section>
<section><h2>Privacy</h2><p>This page stores and logs nothing of what you type, and loads nothing from other
sites.</p></section>"""


def _index_words(index: SeenIndex | None) -> str:
    if index is None:
        return "This Space has no index of the training data to compare with."
    about = index.about
    return (
        f"Each result is compared with {int(about['files']):,} training files: copies from {index.always_found_from} characters "
        f"are found, shorter ones down to {WIDTH} sometimes, rulers and tables of one number never."
    )
