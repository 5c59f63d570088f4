// Tables: sorted and paged here, so that thousands of rows stay quick and readable.

const PAGE = 25;

function sortKey(value, format) {
  if (value === null || value === undefined) return null;
  if (format.startsWith("interval")) return value[0];
  if (value === "\u221e") return Infinity;
  if (value === "\u2212\u221e") return -Infinity;
  if (format === "lang") return languageOf(value).name;
  return Array.isArray(value) ? value.join(", ") : value;
}

const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

function ordered(data, column, descending) {
  const values = data.values[column.name].map((v) => sortKey(v, column.format));
  const order = values.map((_, i) => i);
  const compare = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : collator.compare(String(a), String(b)));
  // Empty cells stay at the end whichever way one sorts.
  order.sort((i, j) => {
    const a = values[i], b = values[j];
    if (a === null || b === null) return (a === null) - (b === null) || i - j;
    return (descending ? compare(b, a) : compare(a, b)) || i - j;
  });
  return order;
}

function cellContent(value, format, row, data) {
  if (value === null || value === undefined) return [el("span", { class: "vh" }, "none"), el("span", { "aria-hidden": "true" }, "\u2013")];
  if (format.startsWith("interval")) {
    const show = format === "interval" ? (v) => percent(v, "") : (v) => number(v, 2);
    const [middle, low, high] = value;
    if (middle === null) return ["\u2013"];
    const text = format === "interval" ? percent(middle) : number(middle, 2);
    return low === null || high === null ? [text] : [text, " ", el("span", { class: "ci" }, `[${show(low)}, ${show(high)}]`)];
  }
  if (format === "lang") return [languageOf(value).name];
  if (format.startsWith("text@")) return [inLanguage(value, data.values[format.slice(5)][row])];
  if (format in FORMATS) return [FORMATS[format](value)];
  if (typeof value === "boolean") return [value ? "yes" : "no"];
  return [el("bdi", null, Array.isArray(value) ? value.join(", ") : String(value))];
}

function startTable(box, data) {
  const title = box.dataset.title;
  let order = data.values[data.columns[0].name].map((_, i) => i);
  let page = 0;
  const body = el("tbody");
  const heads = data.columns.map((column) => {
    const button = el("button", { type: "button", class: "sorter" }, column.label);
    const head = el("th", { scope: "col", class: isNumeric(column.format) ? "n" : null }, button);
    button.addEventListener("click", () => {
      const now = head.getAttribute("aria-sort");
      const descending = now ? now === "ascending" : isNumeric(column.format);
      mark(head, descending);
      order = ordered(data, column, descending);
      page = 0;
      fill();
    });
    return head;
  });

  function mark(head, descending) {
    for (const other of heads) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", descending ? "descending" : "ascending");
  }

  function fill() {
    const rows = order.slice(page * PAGE, (page + 1) * PAGE).map((row) => el("tr", null, ...data.columns.map((column, i) => {
      const value = data.values[column.name][row];
      const content = cellContent(value, column.format, row, data);
      const long = typeof value === "string" && (value.length > 60 || value.includes("\n"));
      const style = isNumeric(column.format) ? "n" : long ? "long" : typeof value === "string" && value.length <= 24 ? "short" : null;
      return i === 0 ? el("th", { scope: "row", class: style }, ...content) : el("td", { class: style }, ...content);
    })));
    body.replaceChildren(...rows);
    const from = page * PAGE + 1, to = Math.min(order.length, from + PAGE - 1);
    status.textContent = `Rows ${whole.format(from)} to ${whole.format(to)} of ${whole.format(order.length)}`;
    previous.disabled = page === 0;
    next.disabled = to >= order.length;
  }

  const previous = el("button", { type: "button" }, "Previous");
  const next = el("button", { type: "button" }, "Next");
  const status = el("span", { role: "status" });
  previous.addEventListener("click", () => { page -= 1; fill(); });
  next.addEventListener("click", () => { page += 1; fill(); });
  const table = el("table", null, el("caption", { class: "vh" }, title), el("thead", null, el("tr", null, ...heads)), body);
  box.append(el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": title }, table));
  const pager = el("div", { class: "pager" }, previous, next, status);
  if (order.length > PAGE) box.append(pager);
  if (data.all_rows > data.rows) {
    box.append(el("p", { class: "caption" }, `Only the first ${whole.format(data.rows)} of ${whole.format(data.all_rows)} rows are in this page; the Parquet and CSV files of the run folder hold all of them.`));
  }
  const first = data.sort && data.columns.findIndex((column) => column.name === data.sort[0]);
  if (data.sort && first >= 0) mark(heads[first], data.sort[1]);
  fill();
}

function startTables() {
  for (const box of document.querySelectorAll(".block > .table")) startTable(box, blockData(box.parentElement));
}
