// Colours the code of a result as the editor does. The browser paints ranges of text, so the page's elements stay as they are.
const WORDS = {
  Python: "and as assert async await break class continue def del elif else except False finally for from global if import in is " +
    "lambda match None nonlocal not or pass raise return True try while with yield",
  Java: "abstract assert boolean break byte case catch char class continue default do double else enum extends false final finally " +
    "float for if implements import instanceof int interface long new null package private protected public record return short " +
    "static super switch synchronized this throw throws true try var void volatile while",
  JavaScript: "async await break case catch class const continue default delete do else export extends false finally for function if " +
    "import in instanceof let new null of return static super switch this throw true try typeof undefined var void while yield",
};
const LONGEST_COLOURED = 20000; // characters; a longer result stays plain

/** Returns [kind, start, end] of each comment, string, number and keyword. */
function codeParts(text, language) {
  const comment = language === "Python" ? "#[^\\n]*" : "//[^\\n]*|/\\*[^]*?(?:\\*/|$)";
  const string = "\"{3}[^]*?(?:\"{3}|$)|'{3}[^]*?(?:'{3}|$)|\"(?:\\\\.|[^\"\\\\\\n])*\"?|'(?:\\\\.|[^'\\\\\\n])*'?|`(?:\\\\.|[^`\\\\])*`?";
  const parts = new RegExp(`(?<comment>${comment})|(?<string>${string})|(?<number>\\b\\d[\\w.]*)|(?<keyword>[A-Za-z_$][\\w$]*)`, "g");
  const keywords = new Set(WORDS[language].split(" "));
  return [...text.matchAll(parts)].flatMap((found) => {
    const [kind] = Object.entries(found.groups).find(([, word]) => word !== undefined);
    const isPlain = kind === "keyword" && !keywords.has(found[0]);
    return isPlain ? [] : [[kind, found.index, found.index + found[0].length]];
  });
}

/** Paints the text of an element; a language that it does not know is taken for Python. */
function colour(element, language) {
  const kinds = {comment: [], string: [], number: [], keyword: []};
  const text = element?.textContent ?? "";
  if (!window.CSS?.highlights) return; // an older browser shows plain text
  if (text.length <= LONGEST_COLOURED) {
    const nodes = [], walker = document.createTreeWalker(element ?? document.createElement("p"), NodeFilter.SHOW_TEXT);
    for (let at = 0; walker.nextNode(); at += walker.currentNode.length) nodes.push([at, walker.currentNode]);
    for (const [kind, start, end] of codeParts(text, language in WORDS ? language : "Python")) {
      for (const [at, node] of nodes) { // a part may begin in what was typed and end in what was written
        const from = Math.max(start - at, 0), to = Math.min(end - at, node.length);
        if (from < to) kinds[kind].push(new StaticRange({startContainer: node, startOffset: from, endContainer: node, endOffset: to}));
      }
    }
  }
  for (const [kind, ranges] of Object.entries(kinds)) CSS.highlights.set(`code-${kind}`, new Highlight(...ranges));
}
