// The list of facts: searched and opened here; the history of a fact is built when it is opened.

const FACTS_PAGE = 30;

function plainText(text) {
  return text.normalize("NFKD").replace(/\p{M}+/gu, "").toLowerCase();
}

function exposures(cell, n) {
  if (cell === null) return null;
  let sum = 0;
  return cell.split(",").map((step) => (sum += step === "" ? 0 : Number(step))).slice(0, n);
}

// What one square says: [class, words].
function square(mark, read) {
  if (mark === "1") return read === 0 ? ["unread", "right, not read so far"] : ["right", "right"];
  return mark === "0" ? ["wrong", "wrong"] : ["none", "not asked"];
}

function startFacts(block) {
  const data = blockData(block);
  const list = block.querySelector(".list");
  const n = data.checkpoints.length, last = n - 1;
  const lang = { value: data.languages[0] };
  let page = 0, hits = [], numbers = false, haystack = null;

  function finalState(fact, i) {
    const history = fact.h[i];
    const counts = exposures(fact.e[i], n);
    return { mark: history ? history[last] : "-", read: counts ? counts[last] : null };
  }

  function history(fact) {
    const head = el("tr", null, el("th", { scope: "col" }, "Language"), el("th", { scope: "col" }, "Subject"), el("th", { scope: "col" }, "Expected"),
      ...data.checkpoints.map((label) => el("th", { scope: "col", class: "ck" }, el("span", null, label))),
      el("th", { scope: "col" }, "Read"), el("th", { scope: "col" }, "Answer at the end"));
    const rows = data.languages.map((code, i) => {
      if (fact.s[i] === null) return null;
      const marks = fact.h[i], counts = exposures(fact.e[i], n);
      const cells = data.checkpoints.map((label, c) => {
        const read = counts ? counts[c] : null;
        const [style, words] = square(marks ? marks[c] : "-", read);
        const said = read === null ? words : `${words}, ${read} read`;
        return el("td", { class: "ck", title: `${label}: ${said}` },
          el("span", { class: `cell ${style}`, "aria-hidden": "true" }, numbers && read !== null ? String(read) : ""), el("span", { class: "vh" }, said));
      });
      const read = counts ? counts[last] : null;
      const answer = fact.a[i];
      const right = marks && marks[last] === "1";
      return el("tr", null, el("th", { scope: "row" }, languageOf(code).name), el("td", null, inLanguage(fact.s[i], code)), el("td", null, inLanguage(fact.o[i], code)), ...cells,
        el("td", null, read === 0 ? el("span", { class: "tag" }, "never read") : read === null ? "unknown" : whole.format(read)),
        el("td", { class: right ? null : "answer-wrong" }, answer === null ? "\u2013" : answer === "" ? "(empty)" : inLanguage(answer, code)));
    });
    return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "History of this fact in every language" },
      el("table", { class: numbers ? "grid-table numbers" : "grid-table" }, el("caption", { class: "vh" }, "Right or wrong at each checkpoint, by language"), el("thead", null, head), el("tbody", null, ...rows)));
  }

  function entry(fact) {
    const i = Math.max(0, data.languages.indexOf(lang.value));
    const shown = fact.s[i] !== null ? i : fact.s.findIndex((s) => s !== null);
    const code = data.languages[shown];
    const states = data.languages.map((_, k) => finalState(fact, k));
    const asked = states.filter((s) => s.mark !== "-").length;
    const right = states.filter((s) => s.mark === "1").length;
    const strip = el("span", { class: "strip", "aria-hidden": "true" }, ...states.map((s) => el("span", { class: `cell ${square(s.mark, s.read)[0]}` })));
    const details = el("details", { class: "fact" }, el("summary", null,
      el("span", { class: "what" }, inLanguage(fact.s[shown], code), " \u2192 ", inLanguage(fact.o[shown], code), " ", el("span", { class: "rel" }, data.relations[fact.r])),
      el("span", { class: "tally" }, strip, el("span", { class: "count" }, `right in ${right} of ${asked}`))));
    details.addEventListener("toggle", () => {
      if (details.open && details.children.length === 1) details.append(history(fact));
    });
    return details;
  }

  function fill() {
    page = Math.max(0, Math.min(page, Math.ceil(hits.length / FACTS_PAGE) - 1));
    const from = page * FACTS_PAGE, to = Math.min(hits.length, from + FACTS_PAGE);
    results.replaceChildren(...hits.slice(from, to).map(entry));
    status.textContent = hits.length ? `Facts ${from + 1} to ${to} of ${whole.format(hits.length)}` : "No fact matches.";
    previous.disabled = page === 0;
    next.disabled = to >= hits.length;
  }

  function find() {
    const words = plainText(search.value).split(/\s+/).filter(Boolean);
    if (words.length && !haystack) haystack = data.facts.map((f) => plainText([f.id, ...f.s, ...f.o].filter((s) => s !== null).join("\n")));
    const i = data.languages.indexOf(lang.value);
    hits = data.facts.filter((fact, k) => {
      if (relation.value !== "" && fact.r !== Number(relation.value)) return false;
      if (!words.every((word) => haystack[k].includes(word))) return false;
      if (state.value === "") return true;
      const end = finalState(fact, i);
      if (state.value === "unread") return end.read === 0;
      if (state.value === "unread-right") return end.read === 0 && end.mark === "1";
      return end.mark === (state.value === "right" ? "1" : "0");
    });
    page = 0;
    fill();
  }

  const option = (value, text) => el("option", { value }, text);
  const search = el("input", { type: "search", autocomplete: "off", spellcheck: "false" });
  const relation = el("select", null, option("", "All relations"), ...data.relations.map((r, i) => option(i, r)));
  const language = el("select", null, ...data.languages.map((code) => option(code, languageOf(code).name)));
  const known = data.facts.some((f) => f.e.some((e) => e !== null));
  const state = el("select", null, option("", "Any outcome"), option("right", "Right at the end"), option("wrong", "Wrong at the end"),
    known ? option("unread", "Never read") : null, known ? option("unread-right", "Never read, yet right") : null);
  const check = el("input", { type: "checkbox" });
  const labelled = (text, control, style) => el("label", { class: style }, text, control);
  const tools = el("div", { class: "tools", role: "search", "aria-label": "Facts" }, labelled("Search subject or object, any language", search, "wide"), labelled("Relation", relation), labelled("Language", language), labelled("Outcome in it", state),
    known ? el("label", { class: "check" }, check, "Numbers of documents read") : null);
  const key = el("ul", { class: "key" }, ...[["right", known ? "right, read before" : "right"], known ? ["unread", "right, not read so far"] : null, ["wrong", "wrong"], ["none", "not asked"]].filter(Boolean)
    .map(([style, words]) => el("li", null, el("span", { class: `cell ${style}`, "aria-hidden": "true" }), words)));
  const results = el("div", { class: "results" });
  const previous = el("button", { type: "button" }, "Previous");
  const next = el("button", { type: "button" }, "Next");
  const status = el("span", { role: "status" });
  let timer = 0;
  search.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(find, 120); });
  relation.addEventListener("change", find);
  state.addEventListener("change", find);
  language.addEventListener("change", () => { lang.value = language.value; find(); });
  check.addEventListener("change", () => { numbers = check.checked; fill(); });
  previous.addEventListener("click", () => { page -= 1; fill(); });
  next.addEventListener("click", () => { page += 1; fill(); });
  list.append(tools, key, results, el("div", { class: "pager" }, previous, next, status));
  if (data.all_checkpoints > n) list.append(el("p", { class: "caption" }, `The history shows ${n} of ${data.all_checkpoints} checkpoints, evenly spread; the table of grades holds all.`));
  find();
}
