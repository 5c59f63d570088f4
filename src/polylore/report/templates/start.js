// Everything starts here, after the page has been read.

function startTheme() {
  const button = document.getElementById("theme");
  button.hidden = false;
  button.addEventListener("click", () => {
    document.documentElement.dataset.theme = isDark() ? "light" : "dark";
    applyTheme();
  });
  dark.addEventListener("change", applyTheme);
  applyTheme();
}

// The contents mark the part that is being read.
function startContents() {
  const links = new Map([...document.querySelectorAll("nav a")].map((a) => [a.hash.slice(1), a]));
  const seen = new Set();
  const mark = () => {
    const first = [...links.keys()].find((id) => seen.has(id));
    for (const [id, link] of links) {
      if (id === first) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
  };
  const observer = new IntersectionObserver((entries) => {
    for (const entry of entries) entry.isIntersecting ? seen.add(entry.target.id) : seen.delete(entry.target.id);
    mark();
  }, { rootMargin: "-10% 0px -70% 0px" });
  for (const id of links.keys()) observer.observe(document.getElementById(id));
}

startTheme();
startTables();
for (const block of document.querySelectorAll(".block.facts")) startFacts(block);
startCharts();
startContents();
