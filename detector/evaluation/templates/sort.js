"use strict";
for (const button of document.querySelectorAll("th > button")) {
  button.addEventListener("click", () => {
    const heading = button.parentElement, column = heading.cellIndex;
    const body = heading.closest("table").tBodies[0];
    const isNumber = heading.classList.contains("number");
    const first = isNumber ? "descending" : "ascending", second = isNumber ? "ascending" : "descending";
    const order = heading.getAttribute("aria-sort") === first ? second : first;
    const key = (row) => isNumber ? row.cells[column].dataset.value : row.cells[column].textContent;
    const sign = order === "ascending" ? 1 : -1;
    const rows = [...body.rows].sort((a, b) => {
      const left = key(a), right = key(b);
      if (left === undefined || right === undefined) return (left === undefined) - (right === undefined);
      return sign * (isNumber ? left - right : left.localeCompare(right, undefined, { numeric: true }));
    });
    for (const other of heading.parentElement.cells) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", order);
    body.append(...rows);
  });
}
