"""The page of open alerts, with its buttons.

Belongs here: one static page; it asks the API for everything it shows. Does not belong here: data,
scripts, styles or fonts from anywhere else; the page's own policy forbids them.

Words of alerts are put in as text, never as HTML. A token is kept in the page's memory only.
"""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256

_STYLE = """
:root { color-scheme: light dark }
body { font: 15px/1.5 sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
header { display: flex; gap: 1rem; align-items: baseline; flex-wrap: wrap }
h1 { font-size: 1.4rem; margin: 0 } #state { color: GrayText }
ul { list-style: none; padding: 0 }
li { border: 1px solid color-mix(in srgb, CanvasText 20%, Canvas); border-left: .4rem solid #7b8794;
     border-radius: .3rem; padding: .6rem .8rem; margin: .6rem 0;
     display: grid; grid-template-columns: 1fr auto; gap: .2rem 1rem }
li.severe { border-left-color: #b3412c } li.warning { border-left-color: #c98a1b }
li.notice { border-left-color: #1b7f79 }
li b { overflow-wrap: anywhere } li small { color: GrayText; grid-column: 1 }
li pre { grid-column: 1; margin: 0; white-space: pre-wrap; font: inherit; overflow-wrap: anywhere }
.acts { grid-row: 1 / span 3; grid-column: 2; display: flex; flex-direction: column; gap: .4rem }
button { font: inherit; padding: .2rem .8rem; cursor: pointer }
form { margin: 1rem 0 } [hidden] { display: none }
"""

_SCRIPT = """
"use strict";
const list = document.getElementById("alerts"), state = document.getElementById("state");
const form = document.getElementById("login"), field = document.getElementById("token");
let token = "", shown = "";
async function ask(path, options = {}) {
  const headers = token ? { Authorization: "Bearer " + token } : {};
  const answer = await fetch(path, { ...options, headers, cache: "no-store" });
  form.hidden = answer.status !== 401;
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.detail || answer.statusText);
  return body;
}
function put(parent, name, text) {
  const made = parent.appendChild(document.createElement(name));
  made.textContent = text;
  return made;
}
function button(parent, word, alert, route) {
  const made = put(parent, "button", word);
  made.setAttribute("aria-label", word + ": " + alert.title);
  made.onclick = async () => {
    made.disabled = true;
    try { await ask("../alerts/" + encodeURIComponent(alert.alert_id) + "/" + route,
                    { method: "POST" }); }
    catch (error) { state.textContent = error.message; return; }
    finally { made.disabled = false; }
    await refresh();
  };
}
function draw(alerts) {
  list.replaceChildren();
  for (const alert of alerts) {
    const row = put(list, "li", "");
    row.className = alert.severity;
    put(row, "b", alert.title);
    put(row, "pre", alert.body);
    const when = alert.event_at.slice(0, 16).replace("T", " ") + " UTC";
    const facts = [alert.underlying, when, alert.severity, alert.rule, alert.state];
    put(row, "small", facts.join(" · "));
    const acts = put(row, "div", "");
    acts.className = "acts";
    if (alert.state !== "acknowledged") button(acts, "Acknowledge", alert, "acknowledge");
    button(acts, "Resolve", alert, "resolve");
  }
}
async function refresh() {
  try {
    const { alerts } = await ask("../alerts?state=open&limit=200");
    const text = JSON.stringify(alerts);
    if (text !== shown) draw(alerts);
    shown = text;
    const waiting = alerts.filter(alert => alert.state !== "acknowledged").length;
    state.textContent = alerts.length
      ? alerts.length + " open, " + waiting + " not acknowledged" : "no alert is open";
  } catch (error) { state.textContent = error.message; }
}
form.onsubmit = event => {
  event.preventDefault();
  token = field.value;
  field.value = "";
  refresh();
};
refresh();
setInterval(refresh, 5000);
"""

PAGE = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8">'
    '<meta name="viewport" content="width=device-width"><title>Alerts</title>'
    f"<style>{_STYLE}</style></head><body>"
    '<header><h1>Open alerts</h1><span id="state" role="status">asking</span></header>'
    '<form id="login" hidden><label>Token of the live API '
    '<input id="token" type="password" autocomplete="off"></label> <button>Show</button></form>'
    f'<ul id="alerts"></ul><script>{_SCRIPT}</script></body></html>'
)


def _hash(text: str) -> str:
    return "'sha256-" + b64encode(sha256(text.encode()).digest()).decode() + "'"


HEADERS = {
    "Content-Security-Policy": (
        f"default-src 'none'; script-src {_hash(_SCRIPT)}; style-src {_hash(_STYLE)}; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""Nothing but this page's own script and style runs, and no other page may frame its buttons."""
