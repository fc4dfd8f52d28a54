"use strict";
(() => {
  const root = document.documentElement;
  const button = document.getElementById("theme");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const asked = location.hash.slice(1);
  if (asked === "dark" || asked === "light") root.dataset.theme = asked;
  button.hidden = false;
  button.addEventListener("click", () => {
    const now = root.dataset.theme || (dark.matches ? "dark" : "light");
    root.dataset.theme = now === "dark" ? "light" : "dark";
  });

  // A title becomes a tooltip that appears at once.
  const tip = document.getElementById("tip");
  for (const entry of document.querySelectorAll(".list li[title]")) {
    entry.dataset.tip = entry.title;
    entry.removeAttribute("title");
  }
  for (const title of document.querySelectorAll(".plot title")) {
    const group = title.parentNode;
    group.dataset.tip = title.textContent;
    group.setAttribute("aria-label", title.textContent);
    title.remove();
  }
  const show = (event) => {
    const group = event.target.closest ? event.target.closest("[data-tip]") : null;
    tip.hidden = !group;
    if (!group) return;
    tip.textContent = group.dataset.tip;
    const left = Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8);
    const above = event.clientY - tip.offsetHeight - 12;
    tip.style.left = `${Math.max(8, left)}px`;
    tip.style.top = `${above > 8 ? above : event.clientY + 18}px`;
  };
  document.addEventListener("pointermove", show);
  document.addEventListener("pointerdown", show);
  document.addEventListener("scroll", () => { tip.hidden = true; }, { passive: true });

  // The same item lights up in all lists of a user.
  for (const lists of document.querySelectorAll(".lists")) {
    const light = (event) => {
      const entry = event.target.closest("[data-item]");
      const item = event.type === "pointerleave" || !entry ? null : entry.dataset.item;
      lists.classList.toggle("is-searching", item !== null);
      for (const other of lists.querySelectorAll("[data-item]")) {
        other.classList.toggle("is-lit", other.dataset.item === item);
      }
    };
    for (const kind of ["pointerover", "pointerdown", "pointerleave"]) lists.addEventListener(kind, light);
  }

  addEventListener("beforeprint", () => {
    for (const details of document.querySelectorAll(".samples details")) details.open = true;
  });
})();
