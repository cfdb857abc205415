import {Wllama} from "./wllama.js";

const GAP = /<FILL[_-]HERE>/g;
const SPECIAL = /<fim[-_](?:prefix|middle|suffix|pad)>|<\|endoftext\|>/;
const EXAMPLES = {
  "Go on": "def add(a, b):\n    ",
  "Docstring": "def mean(values):\n    \"\"\"<FILL_HERE>\"\"\"\n    total = sum(values)\n    return total / len(values)\n",
  "Body": "function area(width, height) {\n  <FILL_HERE>\n}\n",
};
const at = id => document.getElementById(id);
let engine, about, stopping;

function tell(words, isRefusal = false) {
  at("status").textContent = words;
  at("status").className = isRefusal ? "refusal" : "";
}

function show(before, middle, after) {
  const mark = Object.assign(document.createElement("mark"), {textContent: middle});
  at("view").replaceChildren(before, mark, after);
}

function act(isRunning, hasResult) {
  at("run").disabled = isRunning;
  at("run").textContent = isRunning ? "Generating …" : "Generate";
  at("halt").disabled = !isRunning;
  at("copy").disabled = at("reuse").disabled = !hasResult;
}

/** Returns the text before and after the gap; there is no "after" where the model goes on from the end. */
function parts(text) {
  const gaps = text.match(GAP) ?? [];
  if (!text.trim()) throw Error("The text is empty. Write some code.");
  if (gaps.length > 1) throw Error(`The text holds ${gaps.length} gaps. Leave one.`);
  if (SPECIAL.test(text)) throw Error(`The text holds ${text.match(SPECIAL)[0]}, a sign of the model's own. Take it out.`);
  return gaps.length ? text.split(gaps[0]) : [text, null];
}

/** Writes the prompt with at most so many characters around the gap, three quarters of them before it. */
function prompt(before, after, characters) {
  if (after === null) return before.slice(-characters);
  const tail = after.slice(0, Math.max(Math.floor(characters / 4), characters - before.length));
  return `<fim-prefix>${before.slice(-(characters - tail.length))}<fim-suffix>${tail}<fim-middle>`;
}

async function generate() {
  let before, after, middle = "";
  try {
    [before, after] = parts(at("code").value);
  } catch (error) {
    at("view").textContent = "";
    act(false, false);
    tell(error.message, true);
    return;
  }
  const longest = Math.min(Math.max(1, Number(at("length").value) || 1), about.context / 2);
  const started = performance.now();
  let tokens = 0, finish = null;
  stopping = new AbortController();
  act(true, false);
  show(before, "", after ?? "");
  tell("Reads …");
  const view = at("view").getBoundingClientRect();
  if (view.top < 0 || view.bottom > innerHeight) at("view").scrollIntoView({block: "start"});
  // A token is two characters or more of nearly all code: what does not fit all the same is halved.
  for (let characters = Math.floor((about.context - longest - 8) * 2); finish === null; characters = Math.floor(characters / 2)) {
    try {
      const chunks = await engine.createCompletion({
        prompt: prompt(before, after, characters), max_tokens: longest, temperature: Number(at("temperature").value) || 0,
        top_p: 0.95, stream: true, abortSignal: stopping.signal,
      });
      for await (const chunk of chunks) {
        if (stopping.signal.aborted) break;
        const [choice] = chunk.choices;
        middle += choice.text;
        tokens += choice.text ? 1 : 0;
        finish = choice.finish_reason ?? finish;
        show(before, middle, after ?? "");
        tell(`writing · ${tokens} token${tokens === 1 ? "" : "s"}`);
      }
      finish ??= "stop";
    } catch (error) {
      if (stopping.signal.aborted) finish = "stop";
      else if (characters < 64 || middle) {
        act(false, Boolean(middle));
        tell(`The model failed: ${error.message}. Load the page again.`, true);
        return;
      }
    }
  }
  middle = middle.replace(/\ufffd+$/, ""); // a character that was cut in the middle of its bytes
  show(before, middle, after ?? "");
  const seconds = (performance.now() - started) / 1000;
  const how = stopping.signal.aborted ? "stopped" : finish === "length" ? "length limit reached" : "done";
  tell(`${how} · ${tokens} token${tokens === 1 ? "" : "s"} · ${seconds.toFixed(1)} s`);
  act(false, true);
}

function whole() {
  return at("view").textContent;
}

async function start() {
  for (const [name, text] of Object.entries(EXAMPLES)) {
    const button = Object.assign(document.createElement("button"), {type: "button", textContent: name});
    button.addEventListener("click", () => { at("code").value = text; });
    at("examples").append(button);
  }
  at("code").value = EXAMPLES["Docstring"];
  about = await (await fetch("page.json")).json();
  at("facts").textContent = `${about.name} · ${about.megabytes} MB, ${about.type} · ${about.context.toLocaleString("en")} tokens of context`;
  at("length").max = about.context / 2;
  engine = new Wllama({default: new URL("wllama.wasm", location.href).href}, {suppressNativeLog: true});
  const file = await (await fetch("model.gguf")).blob();
  await engine.loadModel([file], {n_ctx: about.context, n_gpu_layers: 0});
  tell("ready");
  act(false, false);
}

at("run").addEventListener("click", generate);
at("halt").addEventListener("click", () => stopping?.abort());
at("copy").addEventListener("click", () => navigator.clipboard.writeText(whole()));
at("reuse").addEventListener("click", () => { at("code").value = whole(); });
document.addEventListener("keydown", event => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !at("run").disabled) generate();
});
start().catch(error => tell(`The page could not start: ${error.message}. Load it again, or use a newer browser.`, true));
