// Tables that are `sortable` get heads that sort. The controls above the table of genes, hidden until
// this runs, choose the rows that it shows. Without it the page is whole, and the tables stay as they are.

const byName = new Intl.Collator("en", { numeric: true }).compare;

document.querySelectorAll("table.sortable").forEach((table) => {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const text = head.classList.contains("text");
    const value = (row) => row.cells[column].dataset.sort;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const was = head.getAttribute("aria-sort");
      const up = was === "descending" || (text && was === null);
      const rows = [...body.rows].sort((a, b) => {
        const [x, y] = [value(a), value(b)];
        if (x === "" || y === "") return (x === "") - (y === "");
        const order = text ? byName(x, y) : Number(x) - Number(y);
        return up ? order : -order;
      });
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      body.append(...rows);
    });
  });
});

document.querySelectorAll(".filter").forEach((controls) => {
  const table = document.getElementById(controls.dataset.table);
  const [words, kind, column, clear, count] = ["words", "kind", "column", "clear", "count"].map((name) =>
    controls.querySelector(`[data-part=${name}]`),
  );
  const rows = [...table.tBodies[0].rows].map((row) => ({
    row,
    text: [...row.querySelectorAll(".text")].map((cell) => cell.textContent.toLowerCase()).join(" "),
  }));
  const heads = [...table.tHead.rows[0].cells];
  const number = (value) => value.toLocaleString("en");
  const noun = rows.length === 1 ? "gene" : "genes";

  const show = () => {
    const wasNarrowed = controls.classList.contains("narrowed");
    const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
    const narrowed = wanted.length > 0 || kind.value !== "";
    if (narrowed !== wasNarrowed) {
      // columns keep their widths while rows come and go
      const widths = heads.map((head) => (narrowed ? `${head.offsetWidth}px` : ""));
      heads.forEach((head, i) => (head.style.width = widths[i]));
    }
    let shown = 0;
    for (const { row, text } of rows) {
      const fits =
        wanted.every((word) => text.includes(word)) &&
        (!kind.value || row.cells[column.value].classList.contains(kind.value));
      row.hidden = !fits;
      shown += fits;
    }
    controls.classList.toggle("narrowed", narrowed);
    column.disabled = !kind.value;
    clear.disabled = !narrowed;
    const said = narrowed ? `${number(shown)} of ${number(rows.length)} ${noun}` : `${number(shown)} ${noun}`;
    if (count.textContent !== said) count.textContent = said;
    table.parentElement.scrollTop = 0;
  };

  words.addEventListener("input", show);
  kind.addEventListener("change", show);
  column.addEventListener("change", show);
  clear.addEventListener("click", () => {
    words.value = "";
    kind.value = "";
    column.selectedIndex = 0;
    show();
    words.focus();
  });
  controls.hidden = false;
  show();
});
