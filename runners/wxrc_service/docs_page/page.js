// Shows openapi.json, and signs and sends requests. The KEY is kept in this page's memory only, and only its signatures leave it.

const WORDS = {
  zh: {
    start: "概述", channel: "接口", callback: "回调（WXRC 调用渠道）", request: "reqBody 的字段", answer: "resBody 的字段", fields: "字段",
    none: "没有字段。", examples: "示例", requestExample: "请求", answerExample: "应答", codes: "其他结论与 HTTP 状态", try: "试一试",
    sent: "发出的请求", received: "收到的应答", send: "签名并发送", key: "KEY（不会离开这个浏览器）", body: "reqBody（JSON）",
    txcode: "txcode（空 = 新的）", type: "签名类型", waiting: "等待应答…",
    insecure: "浏览器只在 https 或 localhost 上提供 WebCrypto，这个地址上不能签名。请通过 https 打开。",
    badJson: "reqBody 不是有效的 JSON：", noAnswer: "没有收到应答：", incomplete: "请填写 chid、botcode 和 KEY。",
    failed: "openapi.json 读取失败：", real: "这是真实的调用：消息会真的发出去。",
  },
  en: {
    start: "Overview", channel: "Interfaces", callback: "Callbacks (WXRC calls the channel)", request: "Fields of reqBody",
    answer: "Fields of resBody", fields: "Fields", none: "No fields.", examples: "Examples", requestExample: "Request",
    answerExample: "Answer", codes: "Other outcomes and HTTP statuses", try: "Try it", sent: "The request as sent",
    received: "The answer as received", send: "Sign and send", key: "KEY (does not leave this browser)", body: "reqBody (JSON)",
    txcode: "txcode (empty = a new one)", type: "signature type", waiting: "Waiting for the answer…",
    insecure: "Browsers offer WebCrypto on https and localhost only, so nothing can be signed at this address. Open the page over https.",
    badJson: "reqBody is not valid JSON: ", noAnswer: "No answer came: ", incomplete: "Fill in chid, botcode and KEY.",
    failed: "openapi.json could not be read: ", real: "These are real calls: messages are really sent.",
  },
};
const SIGNED = ["HMAC-SHA256-V2", "HMAC-SHA256"];
const entered = { chid: "", botcode: "", key: "", type: SIGNED[0] }; // over all interfaces, until the page is left
const wanted = new URLSearchParams(location.search).get("lang") || navigator.language || "zh";
let language = wanted.toLowerCase().startsWith("en") ? "en" : "zh";
let api = null;

// Makes an element; children are elements or texts, never markup.
function element(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key.startsWith("aria-") || key.startsWith("data-")) made.setAttribute(key, value);
    else made[key] = value;
  }
  made.append(...children);
  return made;
}

const say = (name) => WORDS[language][name];
const pretty = (value) => JSON.stringify(value, null, 2);

// Makes a paragraph; what stands between backticks is code.
const paragraph = (text) => element("p", {}, ...text.split("`").map((part, at) => (at % 2 ? element("code", {}, part) : part)));

// A long name may be broken after its dots.
const breakable = (name) => name.split(/(?<=\.)/).flatMap((part) => [part, element("wbr")]);

function resolve(schema) {
  while (schema && schema.$ref) schema = schema.$ref.slice(2).split("/").reduce((found, part) => found[part], api);
  return schema;
}

function typeName(schema) {
  if (schema.$ref) return schema.$ref.split("/").pop();
  if ("const" in schema) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((each) => JSON.stringify(each)).join(" | ");
  if (schema.anyOf) return schema.anyOf.map(typeName).join(" | ");
  if (schema.type === "array") return `${typeName(schema.items)}[]`;
  return schema.type || "";
}

// Lists the fields of a schema, and of the schemas within it.
function fieldRows(schema, prefix = "") {
  schema = resolve(schema);
  const required = new Set(schema.required || []);
  return Object.entries(schema.properties || {}).flatMap(([name, field]) => {
    const row = element("tr", {},
      element("td", {}, element("code", { className: required.has(name) ? "required" : "" }, ...breakable(prefix + name))),
      element("td", {}, typeName(field)),
      element("td", { className: "more" }, field.description || ""));
    const inner = field.$ref ? field : (field.anyOf || []).find((each) => each.$ref) || (field.items && field.items.$ref ? field.items : null);
    return [row, ...(inner ? fieldRows(inner, `${prefix}${name}${field.items ? "[]" : ""}.`) : [])];
  });
}

function fieldTable(title, schema) {
  const rows = fieldRows(schema);
  const shown = rows.length ? element("div", { className: "table" }, element("table", {}, ...rows)) : element("p", {}, say("none"));
  return [element("h3", {}, title), shown];
}

function examples(title, found) {
  const picked = found[language] || Object.values(found)[0];
  return [element("h3", {}, title), element("pre", {}, pretty(resolve(picked).value))];
}

function outcomes(operation) {
  const shown = [];
  const { 200: reached, ...refused } = operation.responses;
  for (const [name, example] of Object.entries(reached.content["application/json"].examples)) {
    if (name.endsWith(`_${language}`)) shown.push(element("pre", {}, JSON.stringify(resolve(example).value.resBody)));
  }
  for (const [status, answer] of Object.entries(refused)) {
    const found = resolve(answer);
    shown.push(element("p", {}, element("strong", {}, `HTTP ${status} `), found.description),
      element("pre", {}, JSON.stringify(found.content["application/json"].examples[language].value.resBody)));
  }
  return element("details", {}, element("summary", {}, say("codes")), ...shown);
}

// -- signing ------------------------------------------------------------------------------------------------------------

async function hmacHex(key, text) {
  const bytes = (value) => new TextEncoder().encode(value);
  const imported = await crypto.subtle.importKey("raw", bytes(key), { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  const signature = await crypto.subtle.sign("HMAC", imported, bytes(text));
  return Array.from(new Uint8Array(signature), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function signedRequest(name, body, txcode) {
  const reqHead = { chid: entered.chid, botcode: entered.botcode, txcode: txcode || crypto.randomUUID(), txtime: String(Date.now()) };
  const text = JSON.stringify({ reqHead, reqBody: body });
  const covered = entered.type === "HMAC-SHA256-V2" ? `${name}\n${text}` : text;
  return {
    method: "POST",
    body: text,
    credentials: "omit",
    headers: {
      "Content-Type": "application/json",
      "Accept-Language": language,
      "X-Ecaspsplus-Signature": await hmacHex(entered.key, covered),
      "X-Ecaspsplus-SignatureType": entered.type,
    },
  };
}

// -- the form -----------------------------------------------------------------------------------------------------------

function input(name, label, properties = {}) {
  const made = element("input", { name, value: entered[name] || "", autocomplete: "off", spellcheck: false, ...properties });
  if (name in entered) made.addEventListener("input", () => { entered[name] = made.value.trim(); });
  return element("label", {}, label, made);
}

function tryForm(name, example) {
  const area = element("textarea", { name: "body", value: pretty(example.reqBody), spellcheck: false });
  const type = element("select", { name: "type" }, ...SIGNED.map((each) => element("option", { value: each, selected: each === entered.type }, each)));
  type.addEventListener("change", () => { entered.type = type.value; });
  const result = element("div", { id: "result", "aria-live": "polite" });
  const button = element("button", { type: "submit", className: "main" }, say("send"));
  const form = element("form", { id: "try" },
    element("p", { className: "note" }, say("real")),
    element("div", { className: "fields" },
      input("chid", "chid"), input("botcode", "botcode"), input("key", say("key"), { type: "password" }),
      input("txcode", say("txcode")), element("label", {}, say("type"), type)),
    element("label", {}, say("body"), area), element("p", {}, button), result);
  const fail = (...texts) => result.replaceChildren(element("p", { className: "error" }, texts.join("")));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (!crypto.subtle) return fail(say("insecure"));
    if (!entered.chid || !entered.botcode || !entered.key) return fail(say("incomplete"));
    let body;
    try {
      body = JSON.parse(area.value || "{}");
    } catch (error) {
      return fail(say("badJson"), error.message);
    }
    button.disabled = true;
    result.replaceChildren(element("p", {}, say("waiting")));
    try {
      const request = await signedRequest(name, body, form.elements.txcode.value.trim());
      const answer = await fetch(new URL(`api/${name}`, new URL(".", location.href)), request);
      const text = await answer.text();
      const headers = Object.entries(request.headers).map(([key, value]) => `${key}: ${value}\n`).join("");
      let shown = text;
      try { shown = pretty(JSON.parse(text)); } catch { /* shown as it is */ }
      result.replaceChildren(
        element("h3", {}, say("sent")), element("pre", {}, `POST /api/${name}\n${headers}\n${request.body}`),
        element("h3", {}, `${say("received")} · HTTP ${answer.status}`), element("pre", { id: "answer" }, shown));
    } catch (error) {
      fail(say("noAnswer"), error.message);
    }
    button.disabled = false;
  });
  return form;
}

// -- pages --------------------------------------------------------------------------------------------------------------

function interfacePage(name) {
  const operation = api.paths[`/api/${name}`].post;
  const sent = operation.requestBody.content["application/json"];
  const answered = operation.responses[200].content["application/json"];
  return [
    element("h2", {}, name), element("p", {}, operation.summary), element("p", {}, element("code", {}, `POST · GET /api/${name}`)),
    ...fieldTable(say("request"), sent.schema.properties.reqBody),
    ...fieldTable(say("answer"), answered.schema.properties.resBody.anyOf[0]),
    ...examples(say("requestExample"), sent.examples),
    ...examples(say("answerExample"), answered.examples),
    outcomes(operation),
    element("h3", {}, say("try")), tryForm(name, sent.examples[language].value),
  ];
}

function callbackPage(name) {
  const operation = api.webhooks[name].post;
  const content = operation.requestBody.content["application/json"];
  const rows = operation.parameters.map((each) => element("tr", {}, element("td", {}, element("code", {}, each.name)),
    element("td", { className: "more" }, each.description)));
  return [
    element("h2", {}, name), element("p", {}, operation.summary), paragraph(operation.description),
    ...fieldTable(say("fields"), content.schema.properties.reqBody),
    element("h3", {}, "HTTP"), element("div", { className: "table" }, element("table", {}, ...rows)),
    ...examples(say("examples"), content.examples),
  ];
}

function startPage() {
  return [element("h2", {}, api.info.title), element("p", {}, `${api.info.version}`), paragraph(api.info.description),
    ...fieldTable("reqHead", { $ref: "#/components/schemas/ReqHead" })];
}

function show() {
  const [kind, name] = location.hash.slice(1).split("/");
  const link = (target, text) => {
    const made = element("a", { href: `#${target}` }, text);
    if (target === location.hash.slice(1)) made.setAttribute("aria-current", "page");
    return made;
  };
  document.documentElement.lang = language;
  for (const button of document.querySelectorAll("[data-lang]")) button.setAttribute("aria-pressed", button.dataset.lang === language);
  document.getElementById("index").replaceChildren(
    link("", say("start")),
    element("strong", {}, say("channel")), ...Object.keys(api.paths).filter((path) => path.startsWith("/api/"))
      .map((path) => link(`interface/${path.slice(5)}`, path.slice(5))),
    element("strong", {}, say("callback")), ...Object.keys(api.webhooks).map((each) => link(`callback/${each}`, each)));
  const pages = { interface: [`/api/${name}` in api.paths, interfacePage], callback: [name in api.webhooks, callbackPage] };
  const [known, page] = pages[kind] || [false];
  document.getElementById("main").replaceChildren(...(known ? page(name) : startPage()));
  scrollTo(0, 0);
}

async function load() {
  try {
    const answer = await fetch(`openapi.json?lang=${language}`, { credentials: "omit" });
    api = await answer.json();
  } catch (error) {
    document.getElementById("main").replaceChildren(element("p", { className: "error" }, say("failed"), error.message));
    return;
  }
  show();
}

for (const button of document.querySelectorAll("[data-lang]")) {
  button.addEventListener("click", () => { language = button.dataset.lang; load(); });
}
addEventListener("hashchange", () => { if (api) show(); });
load();
