"use strict";
// Everything that comes from a runner or a workflow is set as text, never as HTML.
const PERIOD = 1000;
const $ = (id) => document.getElementById(id);

function element(tag, text, attributes) {
  const made = document.createElement(tag);
  if (text !== undefined && text !== null) made.textContent = visible(String(text));
  for (const [name, value] of Object.entries(attributes || {})) if (value) made.setAttribute(name, value);
  return made;
}

function seconds(value) {
  if (value === null || value === undefined) return "–";
  if (value < 0.01) return (value * 1000).toFixed(1) + " ms";
  if (value < 1) return Math.round(value * 1000) + " ms";
  if (value < 60) return value.toFixed(1) + " s";
  if (value < 3600) return Math.floor(value / 60) + " min " + Math.floor(value % 60) + " s";
  if (value < 86400) return Math.floor(value / 3600) + " h " + Math.floor((value % 3600) / 60) + " min";
  return Math.floor(value / 86400) + " d " + Math.floor((value % 86400) / 3600) + " h";
}

const rate = (value) => (value < 10 ? value.toFixed(1) : Math.round(value)) + " /s";
const sum = (counts) => Object.values(counts).reduce((a, b) => a + b, 0);

const named = (prefix, values) => Object.fromEntries(Object.entries(values).map(([name, count]) => [prefix + name, count]));
// Control characters would show as nothing, or as boxes.
const visible = (text) => text.replace(/[\u0000-\u001f\u007f-\u009f]/g, (c) => "\\x" + c.charCodeAt(0).toString(16).padStart(2, "0"));

function card(title, wide) {
  const made = element("section", null, { class: wide ? "wide" : "" });
  made.append(element("h2", title));
  return made;
}

function facts(pairs) {
  const list = element("dl");
  for (const [name, value, style] of pairs) list.append(element("dt", name), element("dd", value, { class: style }));
  return list;
}

function counts(title, values) {
  const made = card(title);
  const pairs = Object.entries(values).filter(([, count]) => count).sort((a, b) => b[1] - a[1]);
  made.append(pairs.length ? facts(pairs) : element("p", "none yet", { class: "none" }));
  return made;
}

// columns: [heading, row => value, class, row => style]
function table(title, rows, columns, empty) {
  const made = card(title, true);
  if (!rows.length) { made.append(element("p", empty, { class: "none" })); return made; }
  const grid = element("table", null, { class: "stack" }), head = element("tr"), body = element("tbody");
  for (const [name, , kind] of columns) head.append(element("th", name, { class: kind, scope: "col" }));
  for (const row of rows) {
    const line = element("tr");
    for (const [name, value, kind, style] of columns)
      line.append(element("td", value(row), { class: [kind, style ? style(row) : ""].join(" ").trim(), "data-label": name }));
    body.append(line);
  }
  const headBox = element("thead"); headBox.append(head);
  grid.append(headBox, body);
  const box = element("div", null, { class: "scroll" });
  box.append(grid);
  made.append(box);
  return made;
}

function troubles(list) {
  return table("What went wrong", list, [
    ["when", (t) => seconds(t.age) + " ago", "number"],
    ["where", (t) => [t.source, t.subject].filter(Boolean).join(" "), "text"],
    ["what", (t) => t.message, "text"],
    ["times", (t) => t.times, "number"],
  ], "nothing of late");
}

function showRunner(document_, runner) {
  const ledger = runner.ledger, slots = card("Slots"), bar = element("div", null, { class: "slots" });
  for (let n = 0; n < Math.min(ledger.slots, 256); n++) bar.append(element("i", null, { class: n < ledger.held ? "taken" : "" }));
  bar.setAttribute("role", "img");
  bar.setAttribute("aria-label", ledger.held + " of " + ledger.slots + " slots taken");
  slots.append(bar, facts([
    ["taken", ledger.held + " of " + ledger.slots],
    ["tasks", rate(runner.rates.ten_seconds) + " (10 s), " + rate(runner.rates.minute) + " (1 min)"],
    ["idle workers", runner.executor.idle_workers],
    ["event loop", document_.loop ? seconds(document_.loop.lag) + " late, worst " + seconds(document_.loop.worst) : "–"],
  ]));
  const owner = (t) => [t.workflow_name || t.workflow_id, t.node_name || t.node_id].filter(Boolean).join(" › ") || "–";
  return [
    slots,
    counts("Tasks ended", runner.outcomes),
    counts("Accepts rejected", ledger.rejections),
    table("Brokers", runner.brokers, [
      ["broker", (b) => b.broker, "text"],
      ["state", (b) => b.state, "", (b) => (b.state === "registered" ? "good" : "bad")],
      ["session", (b) => seconds(b.session_age), "number"],
      ["offers", (b) => b.open_offers, "number"],
      ["tasks", (b) => b.held, "number"],
      ["round trip", (b) => seconds(b.round_trip), "number"],
      ["failures", (b) => b.failures, "number"],
      ["last error", (b) => (b.last_error ? b.last_error + " (" + seconds(b.last_error_age) + " ago)" : "–"), "text"],
    ], "none"),
    table("Running tasks", runner.tasks, [
      ["workflow › node", owner, "text"],
      ["phase", (t) => t.phase, ""],
      ["age", (t) => seconds(t.age), "number"],
      ["type", (t) => t.task_type, "text"],
      ["task", (t) => t.task_id, "text"],
    ], "none"),
    troubles(runner.troubles),
  ];
}

function showBroker(document_, broker) {
  const now = card("Now");
  now.append(facts([
    ["runners", broker.runners, broker.runners ? "" : "bad"],
    ["requesters", broker.requesters],
    ["waiting", sum(broker.waiting), sum(broker.waiting) ? "warn" : ""],
    ["running", sum(broker.running)],
    ["tasks", rate(broker.rates.ten_seconds) + " (10 s), " + rate(broker.rates.minute) + " (1 min)"],
    ["event loop", document_.loop ? seconds(document_.loop.lag) + " late, worst " + seconds(document_.loop.worst) : "–"],
  ]));
  const types = [...new Set([...Object.keys(broker.waiting), ...Object.keys(broker.running), ...Object.keys(broker.open_offers)])].sort();
  return [
    now,
    counts("Tasks ended", broker.ended),
    counts("Requests given up, matches declined", { ...named("given up: ", broker.given_up), ...named("declined: ", broker.declined) }),
    table("Task types", types, [
      ["type", (t) => t, "text"],
      ["waiting", (t) => broker.waiting[t] || 0, "number"],
      ["oldest", (t) => (broker.queue[t] ? seconds(broker.queue[t].oldest) : "–"), "number"],
      ["offers", (t) => broker.open_offers[t] || 0, "number"],
      ["running", (t) => broker.running[t] || 0, "number"],
    ], "nothing asked for, nothing offered"),
    table("Runners", broker.fleet, [
      ["runner", (r) => r.name + " " + r.runner_id, "text"],
      ["types", (r) => r.task_types.join(", "), "text"],
      ["connected", (r) => seconds(r.age), "number"],
      ["heard", (r) => seconds(r.silent_for) + " ago", "number"],
      ["offers", (r) => r.open_offers, "number"],
      ["tasks", (r) => r.held, "number"],
      ["ended", (r) => r.ended, "number"],
      ["declined", (r) => sum(r.declined), "number"],
    ], "no runner is connected"),
    troubles(broker.troubles),
  ];
}

function show(document_) {
  const runner = document_.runner, broker = document_.broker, it = runner || broker;
  const ready = runner ? runner.readiness.ready : !broker.draining;
  const state = runner ? runner.readiness.state : broker.draining ? "draining" : "serving";
  $("title").textContent = runner ? runner.name : "trio-runner broker";
  document.title = state + " – trio-runner " + (runner ? "runner" : "broker");
  $("facts").textContent = [runner ? runner.runner_id : document_.url, "version " + document_.version, "pid " + document_.pid, "up " + seconds(it.uptime)].join(" · ");
  $("verdict").textContent = state;
  $("verdict").className = "badge " + (ready ? "good" : "bad");
  $("reason").textContent = runner ? runner.readiness.reason : broker.draining ? "takes no more requests" : "takes requests";
  $("reason").className = ready ? "reason" : "reason bad";
  $("main").replaceChildren(...(runner ? showRunner(document_, runner) : showBroker(document_, broker)));
  $("fresh").textContent = "as of " + new Date(document_.time * 1000).toLocaleTimeString();
}

async function poll() {
  try {
    const answer = await fetch("/ui/status.json", { cache: "no-store" });
    if (!answer.ok) throw new Error("status " + answer.status);
    show(await answer.json());
  } catch (error) {
    $("verdict").textContent = "no answer";
    $("verdict").className = "badge bad";
    $("reason").textContent = "The daemon does not answer; what is shown is the last it said. (" + error.message + ")";
    $("reason").className = "reason bad";
  }
  setTimeout(poll, PERIOD);
}
poll();
