// Keeps the live part of a page up to date, and sends a chat's form without leaving it. The pages work without this, too.
"use strict";

const live = document.querySelector("[data-live]");

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

const visible = () =>
  document.hidden ? new Promise((done) => document.addEventListener("visibilitychange", done, { once: true })) : null;

async function follow() {
  for (;;) {
    await visible();
    try {
      const url = new URL(location.href);
      url.searchParams.set("live", live.dataset.live);
      const answer = await fetch(url, { cache: "no-store" });
      if (answer.status === 200 && answer.headers.has("X-Live")) {
        live.innerHTML = await answer.text(); // escaped by the server
        live.dataset.live = answer.headers.get("X-Live");
      } else if (answer.status !== 204) {
        await pause(3000);
      }
    } catch {
      await pause(3000); // the server is away: it comes back
    }
  }
}

function speak(form) {
  const text = form.elements.text;
  const grow = () => {
    text.style.height = "auto";
    text.style.height = `${Math.min(text.scrollHeight, 120)}px`;
  };
  text.addEventListener("input", grow);
  text.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      form.requestSubmit();
    }
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const said = text.value;
    const body = new URLSearchParams(new FormData(form));
    text.value = "";
    grow();
    try {
      const answer = await fetch(form.action, { method: "POST", body });
      if (!answer.ok) text.value = said;
    } catch {
      text.value = said;
    }
    text.focus();
    document.querySelector(".log").scrollTop = 0; // column-reverse: 0 is the newest message
  });
}

document.documentElement.classList.add("js");

const form = document.querySelector("form.say");
if (form) speak(form);
if (live) follow();
