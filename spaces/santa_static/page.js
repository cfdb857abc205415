import {openIndex} from "./seen.js";
import {Wllama} from "./wllama.js";

const GAP = /<FILL[_-]HERE>/g;
const SPECIAL = /<fim[-_](?:prefix|middle|suffix|pad)>|<\|endoftext\|>/;
const BLANK = "The result appears here, with the generated part marked.";
const at = (id) => document.getElementById(id);
const count = (number, word) => `${number.toLocaleString("en")} ${word}${number === 1 ? "" : "s"}`;
let engine, about, index, stopping, middle = "";

function tell(words, isRefusal = false) {
  const [first, ...others] = words.split(" · ");
  at("status").replaceChildren(element("b", first), ...(others.length ? [` · ${others.join(" · ")}`] : []));
  at("status").className = isRefusal ? "refusal" : "";
}

function language() {
  return document.querySelector("#language input:checked").value;
}

function element(kind, text) {
  return Object.assign(document.createElement(kind), {textContent: text});
}

function show(before, after) {
  at("view").replaceChildren(element("span", before), element("mark", middle), element("span", after));
  at("view").classList.remove("blank");
  colour(at("view"), language());
}

function clear() {
  middle = "";
  at("view").textContent = BLANK;
  at("view").classList.add("blank");
  at("seen").replaceChildren();
  colour(null);
}

function act(isRunning, hasResult) {
  at("run").disabled = isRunning;
  at("run").textContent = isRunning ? "Generating …" : "Generate";
  at("halt").disabled = !isRunning;
  for (const id of ["copy", "copy-marked", "reuse"]) at(id).disabled = !hasResult;
}

/** Returns the text before and after the gap; there is no "after" where the model goes on from the end. */
function parts(text) {
  const gaps = text.match(GAP) ?? [];
  if (!text.trim()) throw Error("The text is empty. Write some code.");
  if (gaps.length > 1) throw Error(`The text holds ${gaps.length} gaps. Leave one.`);
  if (SPECIAL.test(text)) throw Error(`The text holds ${text.match(SPECIAL)[0]}, a sign of the model's own. Take it out.`);
  return gaps.length ? text.split(gaps[0]) : [text, null];
}

/** Returns the number in a field; one that is not within the field's limits is refused. */
function number(id) {
  const field = at(id), value = Number(field.value), name = field.parentElement.textContent.trim();
  const isWhole = Number(field.step || 1) !== 1 || Number.isInteger(value);
  if (field.value.trim() && isWhole && value >= Number(field.min) && value <= Number(field.max)) return value;
  throw Error(`${name} is ${field.value || "empty"}. Give ${field.min} to ${field.max}.`);
}

/** Writes the prompt with at most so many characters around the gap, three quarters of them before it. */
function prompt(before, after, characters) {
  if (after === null) return before.slice(-characters);
  const tail = after.slice(0, Math.max(Math.floor(characters / 4), characters - before.length));
  return `<fim-prefix>${before.slice(-(characters - tail.length))}<fim-suffix>${tail}<fim-middle>`;
}

async function generate() {
  let before, after, longest, sampling;
  clear();
  try {
    [before, after] = parts(at("code").value);
    longest = number("length");
    sampling = {temperature: number("temperature"), top_p: number("top-p"), seed: number("seed")};
  } catch (error) {
    act(false, false);
    tell(`Not run: ${error.message}`, true);
    comeIntoView();
    return;
  }
  const started = performance.now();
  let tokens = 0, finish = null, isCut = false;
  stopping = new AbortController();
  act(true, false);
  show(before, after ?? "");
  tell("reads …");
  comeIntoView();
  // A token is two characters or more of nearly all code: what does not fit all the same is halved.
  for (let characters = Math.floor((about.context - longest - 8) * 2); finish === null; characters = Math.floor(characters / 2)) {
    isCut = before.length + (after ?? "").length > characters;
    try {
      const chunks = await engine.createCompletion({
        prompt: prompt(before, after, characters), max_tokens: longest, ...sampling, stream: true, abortSignal: stopping.signal,
      });
      for await (const chunk of chunks) {
        if (stopping.signal.aborted) break;
        const [choice] = chunk.choices;
        middle += choice.text;
        tokens += choice.text ? 1 : 0;
        finish = choice.finish_reason ?? finish;
        show(before, after ?? "");
        tell(`writing · ${count(tokens, "token")}`);
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
  show(before, after ?? "");
  const seconds = (performance.now() - started) / 1000;
  const how = stopping.signal.aborted ? "stopped" : finish === "length" ? "length limit reached"
    : middle ? "done" : "done: the model ended at once and wrote nothing, try another seed or a higher temperature";
  const speed = `${seconds.toFixed(1)} s · ${(tokens / seconds).toFixed(1)} tokens/s`;
  const advice = finish === "length" ? " · the text may be cut: raise Max new tokens" : "";
  tell(`${how} · ${count(tokens, "token")} · ${speed}${advice}${isCut ? " · the model saw only the part next to the gap" : ""}`);
  act(false, Boolean(middle));
  await compare();
}

/** Brings Stop, the status and the result into view where they are below the editor. */
function comeIntoView() {
  if (at("status").getBoundingClientRect().top < at("act").getBoundingClientRect().top) return;
  const isStill = matchMedia("(prefers-reduced-motion: reduce)").matches;
  at("act").scrollIntoView({block: "start", behavior: isStill ? "auto" : "smooth"});
}

/** Says what of the generated text is in the training data, where the page has an index. */
async function compare() {
  if (!about.index || !middle) return;
  const text = middle;
  try {
    index ??= openIndex(await (await fetch("training.index")).arrayBuffer());
  } catch (error) {
    at("seen").replaceChildren(`Training data: not compared, ${error.message}.`);
    return;
  }
  if (text !== middle) return; // another result is being written
  const {passages, checked} = index.lookUp(text);
  const first = !checked ? "too short to look up" : passages.length ? `${count(passages.length, "passage")} of the generated text found in it`
    : `no copy of ${index.alwaysFrom} characters or more`;
  const then = !checked ? "50 characters are needed" : passages.length ? "that code keeps its own licence"
    : `compared with ${count(index.about.files, "file")}`;
  at("seen").replaceChildren("Training data: ", element("b", first), ` · ${then}`);
  at("seen").append(...passages.slice(0, 20).map((each) => element("pre", each)));
}

function offerExamples() {
  const texts = about.examples.map((example) => example.text);
  const chosen = about.examples.filter((example) => example.language === language());
  at("examples").replaceChildren(...chosen.map((example) => {
    const button = element("button", example.label);
    button.type = "button";
    button.addEventListener("click", () => { at("code").value = example.text; });
    return button;
  }));
  const isUntouched = !at("code").value.trim() || texts.includes(at("code").value);
  if (isUntouched) at("code").value = (chosen.find((example) => /<FILL_HERE>/.test(example.text)) ?? chosen[0]).text;
}

function introduce() {
  const inWords = new Intl.NumberFormat("en", {notation: "compact", compactDisplay: "long", maximumSignificantDigits: 3});
  at("size").textContent = ` of ${inWords.format(about.parameters)} parameters`;
  const context = `${about.context.toLocaleString("en")} tokens of context`;
  at("facts").replaceChildren(element("b", about.name), ` · ${about.megabytes} MB, ${about.type} · ${context} · llama.cpp in this browser`);
  at("length").max = Math.floor(about.context / 2);
  at("length").value = Math.min(at("length").value, at("length").max);
  at("licence").textContent = `Model licence: ${about.licence ?? "not stated by the model"}.`;
  at("index").textContent = about.index
    ? "Each result is compared with the files of the training data, by an index that is loaded after the first one."
    : "This page has no index of the training data to compare with.";
  offerExamples();
}

async function start() {
  const darkness = matchMedia("(prefers-color-scheme: dark)");
  const turn = () => document.body.classList.toggle("dark", darkness.matches);
  darkness.addEventListener("change", turn);
  turn();
  clear();
  about = await (await fetch("page.json")).json();
  introduce();
  engine = new Wllama({default: new URL("wllama.wasm", location.href).href}, {suppressNativeLog: true});
  const file = await (await fetch("model.gguf")).blob();
  await engine.loadModel([file], {n_ctx: about.context, n_gpu_layers: 0});
  tell("ready");
  act(false, false);
}

const whole = () => at("view").textContent;
at("run").addEventListener("click", generate);
at("halt").addEventListener("click", () => stopping?.abort());
at("copy").addEventListener("click", () => navigator.clipboard.writeText(whole()));
at("copy-marked").addEventListener("click", () => navigator.clipboard.writeText(middle));
at("reuse").addEventListener("click", () => { at("code").value = whole(); });
at("language").addEventListener("change", () => { if (about) offerExamples(); });
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !at("run").disabled) generate();
});
start().catch((error) => tell(`The page could not start: ${error.message}. Load it again, or use a newer browser.`, true));
