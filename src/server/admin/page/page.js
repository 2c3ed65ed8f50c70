// Shows what /status, /metrics and /families say, every two seconds. What comes
// from outside becomes text, never markup; elements stay where they are, so that
// focus, selection and scrolling do.
"use strict";

const PERIOD_MS = 2000;
const TIMEOUT_MS = 5000;
/** Steps that "the last minute" and the sparklines go back. */
const MINUTE = 30;
const SPARK = 60;
/** How long nothing has to be seen until what was before is history. */
const QUIET_MS = 5 * 60 * 1000;
const ACTIONS = ["served", "hidden", "transcoded", "read_through"];
/** Of what was read so, nobody knows whether it was loaded. */
const UNSURE = ["not_looked_at", "unknown"];
const READ_RESULTS = ["hit", "miss", "hidden"];

const $ = (selector, within = document) => within.querySelector(selector);
const opened = Date.now();

// Metrics ---------------------------------------------------------------------

/** Series of the Prometheus text format: [{name, labels, value, key}]. */
function parseMetrics(text) {
  const series = [];
  for (const line of text.split("\n")) {
    const found = /^([A-Za-z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)/.exec(line);
    if (!found) continue;
    const labels = {};
    for (const [, name, value] of (found[2] ?? "").matchAll(/([A-Za-z_]\w*)="((?:[^"\\]|\\.)*)"/g)) {
      labels[name] = value.replace(/\\(.)/g, (_, c) => (c === "n" ? "\n" : c));
    }
    series.push({ name: found[1], labels, value: number(found[3]), key: `${found[1]}{${found[2] ?? ""}}` });
  }
  return series;
}

function number(text) {
  return /^\+?Inf$/.test(text) ? Infinity : Number(text);
}

/** Every series since the page opened: its value, and how much it rose. */
class Store {
  constructor() {
    this.names = new Map();
    this.steps = 0;
    this.times = [];
  }

  take(text, now) {
    const first = this.steps++ === 0;
    this.times.push(now);
    if (this.times.length > MINUTE + 1) this.times.shift();
    for (const { name, labels, value, key } of parseMetrics(text)) {
      if (!this.names.has(name)) this.names.set(name, new Map());
      const known = this.names.get(name);
      if (!known.has(key)) known.set(key, { labels, value: first ? value : 0, opened: 0, step: 0, recent: [] });
      this.rise(known.get(key), value);
    }
    for (const known of this.names.values()) {
      for (const series of known.values()) {
        // A process that started again has forgotten it.
        if (series.taken !== this.steps) this.rise(series, 0);
      }
    }
  }

  rise(series, value) {
    // What fell began again from zero, as Prometheus takes it, too.
    series.step = value < series.value ? value : value - series.value;
    series.value = value;
    series.opened += series.step;
    series.recent.push(series.step);
    if (series.recent.length > MINUTE) series.recent.shift();
    series.taken = this.steps;
  }

  of(name, labels = {}) {
    const wanted = Object.entries(labels);
    const all = [...(this.names.get(`picklegate_${name}`)?.values() ?? [])];
    return all.filter((series) => wanted.every(([label, value]) => series.labels[label] === value));
  }

  sum(name, labels, what = "value") {
    return add(this.of(name, labels).map((series) => series[what]));
  }

  /** What came in the last minute. */
  recent(name, labels) {
    return add(this.of(name, labels).map((series) => add(series.recent)));
  }

  /** Per second, over the last minute. */
  rate(name, labels) {
    const seconds = (this.times.at(-1) - this.times[0]) / 1000;
    return seconds > 0 ? this.recent(name, labels) / seconds : 0;
  }

  /** Per second, since the last look. */
  rateNow(name, labels) {
    const seconds = (this.times.at(-1) - this.times.at(-2)) / 1000;
    return seconds > 0 ? this.sum(name, labels, "step") / seconds : null;
  }

  values(name, label) {
    return [...new Set(this.of(name).map((series) => series.labels[label]))].sort();
  }
}

function add(numbers) {
  return numbers.reduce((sum, next) => sum + next, 0);
}

/** As histogram_quantile() of Prometheus; `of` is what counts of a bucket. */
function quantile(q, buckets, of) {
  const sorted = buckets
    .map((bucket) => ({ bound: number(bucket.labels.le), count: of(bucket) }))
    .sort((a, b) => a.bound - b.bound);
  const rank = q * (sorted.at(-1)?.count ?? 0);
  if (rank === 0) return null;
  const at = sorted.findIndex((bucket) => bucket.count >= rank);
  const below = sorted[at - 1] ?? { bound: 0, count: 0 };
  if (sorted[at].bound === Infinity) return below.bound;
  const share = (rank - below.count) / (sorted[at].count - below.count);
  return below.bound + (sorted[at].bound - below.bound) * share;
}

// Words -----------------------------------------------------------------------

const count = (n) => Math.round(n).toLocaleString("en");
const percent = (share) => `${(100 * share).toFixed(share > 0.9 && share < 1 ? 1 : 0)} %`;

function perSecond(rate) {
  return rate === null ? "–" : rate < 10 ? rate.toFixed(1) : count(rate);
}

function duration(seconds) {
  if (seconds === null) return "–";
  if (seconds < 0.001) return `${Math.round(seconds * 1e6)} µs`;
  if (seconds < 1) return `${(seconds * 1e3).toPrecision(3)} ms`;
  return `${seconds.toPrecision(3)} s`;
}

function span(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 48 * 3600) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86400)} days`;
}

function showTime(element, seconds) {
  const date = new Date(seconds * 1000);
  setText(element, date.toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "medium" }));
  element.dateTime = date.toISOString();
}

const named = (map) => Object.entries(map ?? {}).map(([name, n]) => `${name} ×${count(n)}`).join(", ");

// Elements --------------------------------------------------------------------

function make(tag, className = "", text = "") {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text) element.textContent = text;
  return element;
}

function setText(element, text) {
  if (element.textContent !== String(text)) element.textContent = text;
}

function setClass(element, className) {
  if (element.className !== className) element.className = className;
}

/** One child for each item, kept by its key; the order is that of the items. */
function each(parent, items, key, create, update) {
  const old = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  let at = parent.firstElementChild;
  for (const item of items) {
    const name = String(key(item));
    const child = old.get(name) ?? create(item);
    child.dataset.key = name;
    old.delete(name);
    if (child === at) at = at.nextElementSibling;
    else parent.insertBefore(child, at);
    update(child, item);
  }
  for (const child of old.values()) child.remove();
}

/** Rows of plain cells, each `text` or `[text, class]`; the first is their head. */
function rows(tbody, items, key, cells) {
  each(tbody, items, key, () => make("tr"), (row, item) => {
    cells(item).forEach((cell, at) => {
      const [text, className] = Array.isArray(cell) ? cell : [cell, ""];
      const element = row.children[at] ?? row.appendChild(make(at === 0 ? "th" : "td"));
      if (at === 0) element.scope = "row";
      setText(element, text);
      setClass(element, className);
    });
  });
}

/** Whatever is wider than its place can be scrolled by keys. */
function reachScrollers() {
  for (const box of document.querySelectorAll(".scroll")) {
    const overflows = box.scrollWidth > box.clientWidth;
    if (overflows && !box.hasAttribute("tabindex")) {
      box.tabIndex = 0;
      box.setAttribute("role", "region");
      box.setAttribute("aria-label", $("caption", box).textContent);
    } else if (!overflows && box !== document.activeElement) {
      for (const name of ["tabindex", "role", "aria-label"]) box.removeAttribute(name);
    }
  }
}

// The verdict -----------------------------------------------------------------

/** The rule that most keys meet: the catch-all, or the furthest of the others. */
function leadingRule(status) {
  const order = ["shared", "observe", "guard", "isolate"];
  const all = status.rules.find((rule) => rule.prefix === "");
  if (all && all.mode !== "shared") return all;
  return [...status.rules].sort((a, b) => order.indexOf(b.mode) - order.indexOf(a.mode))[0];
}

/** What may stand against going on: [{level, text, note, since, total, link}]. */
function findings(store, status, families) {
  const found = [];
  const see = (level, text, note, name, labels) => {
    const [since, total] = [store.sum(name, labels, "opened"), store.sum(name, labels)];
    if (total > 0) found.push({ level, text, note, since, total });
  };
  if (status.config.failure) {
    const text = "the last change of the configuration was refused";
    found.push({ level: "stop", text, note: "the one before serves on", link: "#configuration", since: null, total: null });
  }
  see("stop", "upstream errors", "each was told to its client", "upstream_errors_total");
  see("stop", "copies that could not be deleted", "each was told to its client", "invalidations_total", { result: "error" });
  for (const kind of store.values("suspected_split_total", "kind")) {
    see("stop", `suspected split ${kind}s`, "each namespace has its own: find their family, give it a shared rule", "suspected_split_total", { kind });
  }
  const reads = "cross_version_reads_total";
  see("look", "unloadable reads served", "their readers fail; guard makes them misses", reads, { verdict: "unloadable", action: "served" });
  see("look", "unloadable reads hidden", "misses for their readers; isolate gives each its copy", reads, { verdict: "unloadable", action: "hidden" });
  see("look", "reads not looked at", "of values whose header alone was seen: nobody knows whether their readers load them", reads, { verdict: "not_looked_at" });
  const blind = status.rules.filter((rule) => rule.blind).length;
  if (blind > 0) found.push({ level: "look", text: "rules that do not look at whole values", note: "only sniff = \"full\" tells who loads what", link: "#rules", since: null, total: blind });
  see("look", "untagged connections", "nothing told what they run", "untagged_connections_total", { reason: "no_tag" });
  see("look", "connections without a namespace", "none is for the tag that they bear: the log says which", "untagged_connections_total", { reason: "no_namespace" });
  see("look", "connections that speak the binary protocol", "they were closed: let their clients speak text", "closed_connections_total", { reason: "binary_protocol" });
  see("look", "connections turned away", "there were max_connections already", "refused_connections_total");
  see("look", "upstream connections lost", "they are made again", "upstream_reconnects_total");
  see("look", "values without another form", "to be transcoded, but misses for their readers", "transcode_refusals_total");
  if (status.config.warnings.length > 0) {
    found.push({ level: "look", text: "warnings about the configuration", note: "", link: "#configuration", since: null, total: status.config.warnings.length });
  }
  if (families && families.go === false) {
    found.push({ level: "look", text: "the advice about key families", note: "", link: "#families", since: null, total: families.reasons?.length ?? null });
  }
  return found;
}

/** Whether it counts: now, or shortly before the page opened. */
function isFresh(finding, now) {
  return finding.since === null || finding.since > 0 || now - opened < QUIET_MS;
}

function judge(found, store, now) {
  const fresh = found.filter((finding) => isFresh(finding, now));
  const names = (level) => fresh.filter((finding) => finding.level === level && finding.since !== 0).map((finding) => finding.text);
  const [stop, look] = [names("stop"), names("look")];
  if (stop.length > 0) return ["stop", `Do not go on: ${stop.join(", ")}`];
  if (look.length > 0) return ["look", `Look before you go on: ${look.join(", ")}`];
  if (fresh.length > 0) return ["look", "Look before you go on: something was seen before this page opened"];
  if (store.sum("requests_total", {}, "opened") === 0) return ["wait", "Nothing to judge by: no request since this page opened"];
  return ["go", "Nothing stands against going on"];
}

function showHeadline(store, status, families, now) {
  const found = findings(store, status, families);
  const [level, words] = judge(found, store, now);
  const quiet = found.every((finding) => finding.since === 0);
  showVerdict(level, words);
  setText($("#watched"),
    `${quiet ? "Nothing seen" : "Watched"} since this page opened ${span(now - opened)} ago: ` +
    `${count(store.sum("requests_total", {}, "opened"))} requests. ` +
    `picklegate started ${span(now - status.started_at * 1000)} ago: ${count(store.sum("requests_total", {}))} requests.`);
  $("#findings").hidden = found.length === 0;
  each($("#findings tbody"), found, (finding) => finding.text, makeFinding, (row, finding) => {
    const [what, since, total] = row.children;
    setText(what.firstChild, finding.level);
    setClass(what.firstChild, `level ${finding.level}`);
    setText($("small", what), finding.note);
    setText(since, finding.since === null ? "" : count(finding.since));
    setClass(since, finding.since > 0 ? `number ${finding.level === "stop" ? "bad" : ""}` : "number old");
    setText(total, finding.total === null ? "" : count(finding.total));
  });
}

function makeFinding(finding) {
  const row = make("tr");
  const what = row.appendChild(make("th"));
  what.scope = "row";
  what.append(make("span", "level"));
  const text = make(finding.link ? "a" : "span", "", finding.text);
  if (finding.link) text.href = finding.link;
  what.appendChild(make("span", "what")).append(text, make("small"));
  row.append(make("td", "number"), make("td", "number"));
  return row;
}

/** Is read out, so it changes only when the answer does. */
function showVerdict(level, words) {
  $("#headline").dataset.level = level;
  setText($("#verdict .words"), words);
}

function showStage(status) {
  const rule = leadingRule(status);
  const stages = [...document.querySelectorAll("#stages li")];
  const at = stages.findIndex((stage) => stage.dataset.stage === rule.mode);
  stages.forEach((stage, place) => {
    setClass(stage, place < at ? "past" : "");
    if (place === at) stage.setAttribute("aria-current", "step");
    else stage.removeAttribute("aria-current");
    const isolating = stage.dataset.stage === "isolate" && rule.mode === "isolate";
    setText(stage.firstChild, isolating ? `isolate ${rule.rollout} %` : stage.dataset.stage);
  });
  const title = rule.mode === "isolate" ? `isolate ${rule.rollout} %` : rule.mode;
  if (document.title !== `${title} · picklegate`) document.title = `${title} · picklegate`;
}

// Panels ----------------------------------------------------------------------

function showRules(status) {
  const makeRule = () => {
    const row = make("tr");
    const prefix = row.appendChild(make("th", "key"));
    prefix.scope = "row";
    row.append(make("td"), make("td"), make("td"));
    row.children[3].append(make("span"), make("small"));
    row.children[1].append(make("span", "tag"));
    const rollout = row.children[2].appendChild(make("div", "rollout"));
    const track = rollout.appendChild(make("div", "track"));
    track.setAttribute("aria-hidden", "true");
    track.append(make("div", "fill"));
    rollout.append(make("span"));
    return row;
  };
  each($("#rules tbody"), status.rules, (rule) => rule.prefix, makeRule, (row, rule) => {
    const [prefix, mode, rollout, values] = row.children;
    setText(prefix, rule.prefix || (status.rules.length > 1 ? "other keys" : "all keys"));
    setClass(prefix, rule.prefix ? "key" : "old");
    setText(mode.firstChild, rule.mode);
    setClass(mode.firstChild, `tag ${rule.mode}`);
    const isolates = rule.mode === "isolate";
    $(".track", rollout).hidden = !isolates;
    $(".fill", rollout).style.width = `${isolates ? rule.rollout : 0}%`;
    setText($("span", rollout), isolates ? `${rule.rollout} %` : "–");
    const isShared = rule.mode === "shared";
    setText(values.firstChild, isShared ? "–" : rule.coherence);
    const looks = { header: "sniff header: what values hold is not looked at", off: "sniff off: values are not looked at" };
    setText(values.lastChild, isShared ? "" : looks[rule.sniff] ?? `sniff ${rule.sniff}`);
  });
}

function showMatrix(store) {
  const name = "cross_version_reads_total";
  const [writers, readers] = [store.values(name, "writer"), store.values(name, "reader")];
  $("#matrix .empty").hidden = writers.length > 0;
  $("#matrix .scroll").hidden = writers.length === 0;
  each($("#matrix thead tr"), ["", ...readers], (reader) => reader, (reader) => {
    const head = make("th", "", reader ? `${reader} reads` : "wrote");
    head.scope = "col";
    return head;
  }, () => {});
  const unloadable = (writer, reader) => store.sum(name, { writer, reader, verdict: "unloadable" });
  const most = Math.max(1, ...writers.flatMap((writer) => readers.map((reader) => unloadable(writer, reader))));
  each($("#matrix tbody"), writers, (writer) => writer, makeWriter, (row, writer) => {
    each(row, [null, ...readers], (reader) => reader ?? "writer", (reader) => makeReads(writer, reader), (cell, reader) => {
      if (reader !== null) showReads(cell, store, { writer, reader }, unloadable(writer, reader) / most);
    });
  });
  const causes = store.of("not_loadable_values_total").filter((series) => series.value > 0);
  each($("#causes"), causes, (series) => JSON.stringify(series.labels), () => make("li"), (item, series) => {
    const { namespace, direction, reason } = series.labels;
    setText(item, `${namespace} ${direction === "read" ? "reads" : "writes"}: ${reason} ${count(series.value)}`);
  });
}

function makeWriter() {
  return make("tr");
}

function makeReads(writer, reader) {
  const cell = make(reader === null ? "th" : "td", "", reader === null ? writer : "");
  if (reader === null) {
    cell.scope = "row";
    return cell;
  }
  cell.dataset.writer = writer;
  cell.dataset.reader = reader;
  const counts = cell.appendChild(make("dl", "counts"));
  const addLine = (kind, name) => {
    const line = counts.appendChild(make("div"));
    line.append(make("dt", "", name.replaceAll("_", " ")), make("dd"));
    line.dataset[kind] = name;
  };
  for (const action of ACTIONS) addLine("action", action);
  for (const verdict of UNSURE) addLine("verdict", verdict);
  return cell;
}

/** Heat is the share of the worst pair, on a scale where few show, too; cool is where
    all was looked at and can be loaded. */
function showReads(cell, store, pair, share) {
  const name = "cross_version_reads_total";
  const heat = share > 0 ? 14 + 30 * Math.sqrt(share) : 0;
  const all = store.sum(name, pair);
  const loadable = store.sum(name, { ...pair, verdict: "loadable" });
  cell.style.background = heat > 0
    ? `color-mix(in srgb, var(--heat) ${heat.toFixed(0)}%, var(--panel))`
    : all > 0 && loadable === all ? "color-mix(in srgb, var(--cool) 16%, var(--panel))" : "";
  for (const line of cell.firstChild.children) {
    const { action, verdict } = line.dataset;
    if (verdict) {
      const unsure = store.sum(name, { ...pair, verdict });
      setText(line.lastChild, count(unsure));
      line.hidden = unsure === 0;
      continue;
    }
    const [n, lost] = [store.sum(name, { ...pair, action }), store.sum(name, { ...pair, action, verdict: "unloadable" })];
    setText(line.lastChild, count(n));
    const alarming = action === "served" && lost > 0;
    setText(line.firstChild, alarming ? `served, ${count(lost)} unloadable` : action.replace("_", " "));
    setClass(line, n === 0 ? "none" : "");
  }
}

const history = new Map();

function remember(name, value) {
  if (!history.has(name)) history.set(name, []);
  const values = history.get(name);
  values.push(value);
  if (values.length > SPARK) values.shift();
  return values;
}

function showNamespaces(store, status) {
  const spaces = status.namespaces.map((space) => ({ name: space.name, note: space.runtimes }));
  if (store.of("requests_total", { namespace: "untagged" }).length > 0) {
    spaces.push({ name: "untagged", note: "bare keys" });
  }
  each($("#namespaces tbody"), spaces, (space) => space.name, makeNamespace, (row, { name: namespace, note }) => {
    const [who, clients, load, hits] = row.children;
    setText(who.firstChild, namespace);
    setText(who.lastChild, note);
    setText(clients, count(store.sum("connections", { namespace })));
    const rates = remember(`load ${namespace}`, store.rateNow("requests_total", { namespace }));
    showSpark(load, rates, null, perSecond(rates.at(-1)), `requests per second of ${namespace}`);
    const ratio = (sum) => {
      const [hit, miss, hidden] = READ_RESULTS.map(sum);
      return hit + miss + hidden > 0 ? hit / (hit + miss + hidden) : null;
    };
    const step = ratio((result) => store.sum("requests_total", { namespace, result }, "step"));
    const recent = ratio((result) => store.recent("requests_total", { namespace, result }));
    const total = ratio((result) => store.sum("requests_total", { namespace, result }));
    const shown = recent ?? total;
    showSpark(hits, remember(`hits ${namespace}`, step), 1, shown === null ? "–" : percent(shown), `hit ratio of ${namespace}`);
    setClass($("span", hits), recent === null ? "old" : "");
  });
}

function makeNamespace() {
  const row = make("tr");
  const who = row.appendChild(make("th", "who"));
  who.scope = "row";
  who.append(make("span"), make("small"));
  row.append(make("td", "number"), make("td"), make("td"));
  for (const cell of [row.children[2], row.children[3]]) {
    const spark = cell.appendChild(make("div", "spark"));
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    for (const [name, value] of [["viewBox", `0 0 ${SPARK - 1} 26`], ["preserveAspectRatio", "none"], ["role", "img"]]) {
      svg.setAttribute(name, value);
    }
    spark.append(make("span"), svg);
  }
  return row;
}

/** A line for each run of values that are known; `top` is what the height means. */
function showSpark(cell, values, top, text, label) {
  const svg = $("svg", cell);
  const height = top ?? Math.max(1, ...values);
  const from = SPARK - values.length;
  const runs = [[]];
  values.forEach((value, at) => {
    if (value === null) runs.push([]);
    else runs.at(-1).push(`${from + at},${(24 - 22 * (value / height)).toFixed(1)}`);
  });
  const lines = runs.filter((run) => run.length > 0).map((run) => (run.length > 1 ? run : [run[0], run[0]]).join(" "));
  while (svg.children.length > lines.length) svg.lastChild.remove();
  lines.forEach((points, at) => {
    const line = svg.children[at] ?? svg.appendChild(document.createElementNS(svg.namespaceURI, "polyline"));
    line.setAttribute("points", points);
  });
  svg.setAttribute("aria-label", `${label}, the last two minutes: now ${text}`);
  setText($("span", cell), text);
}

function showUpstream(store, status) {
  rows($("#upstream tbody"), status.upstream, (server) => server, (server) => {
    const up = store.sum("upstream_connections", { server });
    const errors = store.sum("upstream_errors_total", { server });
    return [
      [server, "key"],
      [count(up), up > 0 ? "number" : "number bad"],
      [count(store.sum("upstream_in_flight", { server })), "number"],
      [perSecond(store.rate("upstream_requests_total", { server })), "number"],
      [count(errors), errors > 0 ? "number bad" : "number"],
      [count(store.sum("upstream_reconnects_total", { server })), "number"],
    ];
  });
}

function showLatency(store) {
  const name = "request_duration_seconds";
  const commands = store.values(`${name}_count`, "command");
  $("#latency .scroll").hidden = commands.length === 0;
  $("#latency .empty").hidden = commands.length > 0;
  rows($("#latency tbody"), commands, (command) => command, (command) => {
    const buckets = store.of(`${name}_bucket`, { command });
    const isRecent = store.recent(`${name}_count`, { command }) > 0;
    const of = isRecent ? (bucket) => add(bucket.recent) : (bucket) => bucket.value;
    const look = isRecent ? "number" : "number old";
    return [
      command,
      [perSecond(store.rate(`${name}_count`, { command })), look],
      [duration(quantile(0.5, buckets, of)), look],
      [duration(quantile(0.99, buckets, of)), look],
    ];
  });
}

function showConnections(status) {
  const groups = status.admitted.map((group) => ({ ...group }));
  for (const listener of status.listeners) {
    if (!groups.some((group) => group.listener === listener.listen)) {
      groups.push({ listener: listener.listen, runtime: listener.runtime ?? null, connections: 0 });
    }
  }
  const key = (group) => JSON.stringify([group.listener, group.runtime, group.told_by, group.namespace, group.refused]);
  groups.sort((a, b) => (a.listener + (a.runtime ?? "")).localeCompare(b.listener + (b.runtime ?? "")));
  rows($("#connections tbody"), groups, key, (group) => [
    [group.listener, "key"],
    group.runtime ? [group.runtime, ""] : ["no tag", "old"],
    group.refused ? ["refused", "bad"] : [group.namespace ?? "–", ""],
    [count(group.connections), group.connections > 0 ? "number" : "number old"],
  ]);
}

function showConfiguration(config) {
  setText($("#generation"), config.generation);
  setText($("#files"), config.files.join(", ") || "none: flags, or the demo");
  showTime($("#loaded"), config.loaded_at);
  const warnings = config.warnings.length > 0 ? config.warnings : ["none"];
  each($("#warnings"), warnings, (warning) => warning, (warning) => make("li", "", warning), () => {});
  $("#failure").hidden = !config.failure;
  if (!config.failure) return;
  showTime($("#failure time"), config.failure.at);
  const errors = config.failure.errors.map((text, at) => ({ text, at }));
  each($("#failure ol"), errors, (error) => error.at, () => make("li"), (item, error) => setText(item, error.text));
}

function showFamilies(report) {
  $("#families").hidden = report === null;
  if (report === null) return;
  setText($("#advice"), report.go ? "Go: nothing known of any family stands against the next stage" : "No-go");
  setClass($("#advice"), report.go ? "" : "bad");
  const reasons = report.reasons ?? [];
  each($("#reasons"), reasons, (reason) => reason, (reason) => make("li", "", reason), () => {});
  rows($("#families tbody"), report.families ?? [], (family) => family.family, (family) => {
    const looks = family.hits + family.misses;
    const times = (what, n) => n > 0 && `${what} ×${count(n)}`;
    const unknown = named(family.unknown);
    const looked = [times("loadable", family.loadable), named(family.unloadable), unknown && `not understood: ${unknown}`, times("not looked at", family.not_looked_at)];
    const suspects = [times("counters", family.counters), times("locks", family.locks)];
    return [
      [family.family, "key"],
      [`${family.advice}: ${family.why}`, "words"],
      [count(family.reads), "number"],
      [looks > 0 ? percent(family.hits / looks) : "–", "number"],
      [count(family.writes), "number"],
      named(family.protocols),
      [named(family.writers), named(family.readers)].filter(Boolean).join(" → "),
      [looked.filter(Boolean).join(", ") || "–", "words"],
      suspects.filter(Boolean).join(", ") || "–",
      [(family.globals ?? []).join(", "), "key words"],
    ];
  });
  $("#proposal").hidden = !report.toml;
  setText($("#toml"), report.toml ?? "");
}

// The loop --------------------------------------------------------------------

const store = new Store();
let families = null;
/** The generation for which there are no families; asked again after a reload. */
let withoutFamilies = -1;
let paused = false;
let answered = 0;

async function ask(path) {
  const answer = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(TIMEOUT_MS) });
  if (!answer.ok) throw Object.assign(new Error(`${path}: ${answer.status}`), { status: answer.status });
  return answer;
}

async function askFamilies(generation) {
  if (withoutFamilies === generation) return;
  try {
    families = await (await ask("/families")).json();
  } catch (error) {
    if (error.status !== 404) throw error;
    families = null;
    withoutFamilies = generation;
  }
}

async function look() {
  const [metrics, status] = await Promise.all([
    ask("/metrics").then((answer) => answer.text()),
    ask("/status").then((answer) => answer.json()),
  ]);
  await askFamilies(status.config.generation);
  answered = Date.now();
  store.take(metrics, answered);
  show(status, answered);
}

function show(status, now) {
  setText($("#version"), status.version);
  showStage(status);
  showHeadline(store, status, families, now);
  showRules(status);
  showMatrix(store);
  showNamespaces(store, status);
  showUpstream(store, status);
  showLatency(store);
  showConnections(status);
  showConfiguration(status.config);
  showFamilies(families);
  reachScrollers();
}

function showFreshness() {
  const at = answered ? new Date(answered).toLocaleTimeString("en-GB") : "never";
  setText($("#freshness"), `${paused ? "paused, " : ""}updated ${at}`);
}

async function run() {
  if (!paused) {
    try {
      await look();
    } catch (error) {
      showVerdict("stop", "This sidecar does not answer: what is below is old");
      setText($("#watched"), error.message);
    }
  }
  showFreshness();
  setTimeout(run, PERIOD_MS);
}

$("#pause").addEventListener("click", () => {
  paused = !paused;
  setText($("#pause"), paused ? "Resume" : "Pause");
  showFreshness();
});

/** Without HTTPS, only what is selected can be copied. */
$("#copy").addEventListener("click", async () => {
  const toml = $("#toml");
  let done = true;
  try {
    await navigator.clipboard.writeText(toml.textContent);
  } catch {
    getSelection().selectAllChildren(toml);
    done = document.execCommand("copy");
  }
  setText($("#copied"), done ? "copied" : "selected: copy it by keyboard");
  setTimeout(() => setText($("#copied"), ""), 3000);
});

addEventListener("resize", reachScrollers);
run();
