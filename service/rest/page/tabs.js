/** Tabs as screen readers know them: arrow keys move, Home and End go to the ends, the address keeps the choice. */

/** Wire the tabs of a list to their panels; `onSelect` hears the id of the panel that is shown. */
export function wireTabs(list, onSelect) {
  const tabs = [...list.querySelectorAll("[role=tab]")];
  const panelId = (tab) => tab.getAttribute("aria-controls");

  function select(chosen, { remember }) {
    for (const tab of tabs) {
      const isChosen = tab === chosen;
      tab.setAttribute("aria-selected", String(isChosen));
      tab.tabIndex = isChosen ? 0 : -1;
      document.getElementById(panelId(tab)).hidden = !isChosen;
    }
    if (remember) history.replaceState(null, "", `#${panelId(chosen)}`);
    onSelect(panelId(chosen));
  }

  const named = () => tabs.find((tab) => `#${panelId(tab)}` === location.hash) ?? tabs[0];
  for (const tab of tabs) tab.addEventListener("click", () => select(tab, { remember: true }));
  list.addEventListener("keydown", (event) => {
    const index = tabs.indexOf(document.activeElement);
    const next = { ArrowRight: index + 1, ArrowLeft: index - 1, Home: 0, End: tabs.length - 1 }[event.key];
    if (index < 0 || next === undefined || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    const tab = tabs[(next + tabs.length) % tabs.length];
    tab.focus();
    select(tab, { remember: true });
  });
  addEventListener("hashchange", () => select(named(), { remember: false }));
  select(named(), { remember: false });
}
