// Fetches the page again and puts its content in place, so that nothing flickers or scrolls.
"use strict";
const EVERY_MS = 5000;
async function refresh() {
  const main = document.querySelector("main");
  try {
    if (document.visibilityState === "visible") {
      const answer = await fetch("/", { signal: AbortSignal.timeout(EVERY_MS) });
      if (!answer.ok) throw new Error(answer.statusText);
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      main.replaceChildren(...fresh.querySelector("main").childNodes);
      document.title = fresh.title;
    }
    document.body.classList.remove("offline");
  } catch {
    document.body.classList.add("offline");
  }
  setTimeout(refresh, EVERY_MS);
}
setTimeout(refresh, EVERY_MS);
document.addEventListener("visibilitychange", () => {
  document.body.classList.remove("offline");
});
