// Runs once in the visitor's browser, after the page has loaded; the functions of colours.js stand before it.
  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      event.stopPropagation();
      document.querySelector("#run").click();
    }
  }, true);

  // Where the result is below the editor, it comes into view with Stop and the status when its making begins.
  document.querySelector("#run").addEventListener("click", () => {
    const row = document.querySelector("#act"), isBelow = document.querySelector("#status").getBoundingClientRect().top
      > row.getBoundingClientRect().top;
    if (!isBelow) return;
    const isStill = matchMedia("(prefers-reduced-motion: reduce)").matches;
    row.scrollIntoView({block: "start", behavior: isStill ? "auto" : "smooth"});
  });

  const paint = () => colour(document.querySelector("#view pre"), document.querySelector("#language input:checked")?.value);
  new MutationObserver(paint).observe(document.querySelector("#view"), {childList: true, subtree: true, characterData: true});

  // Screen readers hear how a request ended, not each of its chunks.
  const heard = document.createElement("div");
  heard.id = "heard";
  heard.setAttribute("role", "status");
  document.body.append(heard);

  // A refusal of gradio's own (a full queue) comes as a toast that vanishes: its words go where ours are, and stay.
  new MutationObserver(() => {
    const toast = document.querySelector("[data-testid=toast-text]:not(.moved)");
    if (!toast) return;
    toast.classList.add("moved"); // it fades for a while
    const words = toast.textContent.includes("currently busy")
      ? " The queue is full, no more requests can wait. Try again in a minute." : ` ${toast.textContent}`;
    const line = document.querySelector("#status .status");
    line.className = "status refusal";
    line.replaceChildren(Object.assign(document.createElement("b"), {textContent: "Not run:"}), words);
    heard.textContent = line.textContent;
    document.querySelector("#refused").click();
    document.querySelector("[data-testid=toast-close]").click();
  }).observe(document.body, {childList: true, subtree: true});

  // The editor's light colours are too pale on white: the same hues, darkened until their contrast is 4.5.
  const brightness = (part) => (part <= 10 ? part / 3294.6 : ((part / 255 + 0.055) / 1.055) ** 2.4);
  const contrast = ([red, green, blue]) =>
    1.05 / (0.2126 * brightness(red) + 0.7152 * brightness(green) + 0.0722 * brightness(blue) + 0.05);
  const mend = () => {
    for (const scroller of document.querySelectorAll("#editor .cm-scroller")) scroller.tabIndex = 0;
    if (document.body.classList.contains("dark")) return;
    for (const sheet of document.styleSheets) {
      if (sheet.href || !sheet.ownerNode.textContent.includes("ͼ")) continue;
      for (const rule of sheet.cssRules) {
        let parts = /^\.ͼ\w+$/.test(rule.selectorText) && rule.style.color.match(/\d+/g);
        if (!parts || parts.length !== 3) continue;
        while (contrast(parts) < 4.5) parts = parts.map((part) => Math.floor(part * 0.95));
        rule.style.color = `rgb(${parts})`;
      }
    }
  };
  mend();
  new MutationObserver(mend).observe(document.head, {childList: true, subtree: true});
  new MutationObserver(mend).observe(document.querySelector("#editor"), {childList: true, subtree: true});
