// The queue by keyboard: which row is open, what a key does, where the focus goes.
"use strict";

(() => {
  const LOOK_MS = 300; // an opinion that has just come up takes no decision: nobody has read it yet
  const $ = (id) => document.getElementById(id);
  const review = $("review"), pane = $("pane"), rows = $("rows"), help = $("help");
  let shownAt = 0;
  let busy = false;
  let heading = null; // the row on its way into the pane: quick J and K count from there

  // On a narrow screen the pane may be hidden behind the list: then nothing is open.
  const opened = () => pane.offsetParent && pane.querySelector("article[data-id]");
  const rowOf = (id) => rows.querySelector(`li[data-id="${id}"]`);
  const current = () => { const article = opened(); return article && rowOf(article.dataset.id); };
  const say = (words) => { $("say").textContent = words; $("undo").replaceChildren(); };

  function alarm(words) {
    $("alarm").textContent = words;
    if (words) setTimeout(() => { $("alarm").textContent = ""; }, 8000);
  }

  function mark() {
    rows.querySelectorAll("[aria-current]").forEach((link) => link.removeAttribute("aria-current"));
    const row = current();
    if (!row) return;
    const link = row.querySelector("a");
    link.setAttribute("aria-current", "true");
    link.scrollIntoView({ block: "nearest" });
  }

  function open(row) {
    if (!row || !row.dataset.id) return false;
    heading = row;
    row.querySelector("a").click();
    return true;
  }

  function step(by) {
    const row = busy && heading && heading.isConnected ? heading : current();
    if (!row) return open(rows.querySelector("li[data-id]"));
    const next = by > 0 ? row.nextElementSibling : row.previousElementSibling;
    if (open(next)) return true;
    const more = by > 0 && next && next.querySelector("button");
    if (more) { more.click(); say("正在载入下一页，请再按一次 J。"); return true; }
    say(by > 0 ? "已经是最后一件。" : "已经是第一件。");
    return true;
  }

  function panelOf(id) {
    pane.querySelectorAll(".panel").forEach((panel) => {
      if (panel.id !== id && panel.id !== "panel-split") panel.hidden = true;
    });
    const article = opened();
    if (article) article.classList.toggle("editing", id === "panel-edit");
    pane.querySelectorAll("[data-opens]").forEach((button) => {
      const panel = $(button.dataset.opens);
      button.setAttribute("aria-expanded", String(panel && !panel.hidden));
    });
  }

  function openPanel(id) {
    const panel = $(id);
    if (!panel || !opened()) return false;
    panel.hidden = false;
    panelOf(id);
    const lazy = panel.querySelector("[hx-trigger*=opened]");
    if (lazy && !lazy.querySelector("form")) htmx.trigger(lazy, "opened");
    const field = panel.querySelector("input:not([type=hidden]), textarea, select");
    (field || panel).focus();
    panel.scrollIntoView({ block: "nearest" });
    return true;
  }

  function closePanels() {
    if (pane.querySelector("[data-closes]")) panelOf("");
    const article = pane.querySelector("article");
    if (article) article.focus();
  }

  function press(button) {
    if (!button || !button.offsetParent) return false;
    if (busy || performance.now() - shownAt < LOOK_MS) return true;
    button.click();
    return true;
  }

  // Keys. Those of one letter rest while something is typed, and can be switched off altogether.
  const keysOn = $("keys-on");
  keysOn.checked = localStorage.getItem("keys") !== "off";
  keysOn.addEventListener("change", () => localStorage.setItem("keys", keysOn.checked ? "on" : "off"));

  const isTyping = (at) => at.closest("textarea, select, input:not([type=checkbox]):not([type=radio])");
  const isPressable = (at) => at.closest("button, a, summary, input, textarea, select");

  function onLetter(key) {
    if (/^[1-5]$/.test(key)) {
      const reasons = pane.querySelectorAll("#panel-return:not([hidden]) [name=reason]");
      if (reasons.length) { reasons[key - 1].checked = true; reasons[key - 1].focus(); return true; }
      return press(pane.querySelectorAll(".candidate")[key - 1]);
    }
    switch (key) {
      case "j": return step(1);
      case "k": return step(-1);
      case "/": review.classList.remove("opened"); $("search").focus(); $("search").select(); return true;
      case "?": help.showModal(); return true;
      case "u": return press($("undo-last") || $("undo-bulk") || $("undo-this")) || (say("没有可以撤销的审定。"), true);
      case "e": if (openPanel("panel-edit")) return true; break;
      default: break;
    }
    if (!"ergcs".includes(key) || !opened()) return false;
    const button = pane.querySelector(`[data-key="${key}"]`);
    if (button) return openPanel(button.dataset.opens);
    say("这一件现在不能做这个操作。");
    return true;
  }

  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.isComposing || help.open) return;
    if (event.key === "Enter" && event.ctrlKey && event.target.form) {
      event.preventDefault();
      event.target.form.requestSubmit();
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape") { event.preventDefault(); closePanels(); return; }
    if (event.key === "Enter") {
      if (event.target.matches("#panel-return [name=reason]")) {
        event.preventDefault();
        event.target.form.requestSubmit();
      } else if (!isPressable(event.target) && !event.repeat) {
        if (press($("accept")) || opened() && openPanel("panel-edit")) event.preventDefault();
      }
      return;
    }
    if (!keysOn.checked || isTyping(event.target) || event.repeat && !"jk".includes(event.key)) return;
    if (event.key.length === 1 && onLetter(event.key.toLowerCase())) event.preventDefault();
  });

  document.addEventListener("click", (event) => {
    const at = event.target.closest("[data-opens], [data-closes], [data-back], [data-first], #show-help");
    if (!at) return;
    if (at.id === "show-help") help.showModal();
    else if (at.dataset.opens) {
      if ($(at.dataset.opens).hidden || at.dataset.opens === "panel-split") openPanel(at.dataset.opens);
      else closePanels();
    } else if ("closes" in at.dataset) closePanels();
    else if ("first" in at.dataset) open(rows.querySelector("li[data-id]"));
    else {
      const row = current();
      review.classList.remove("opened");
      const link = (row || rows).querySelector("a");
      if (link) link.focus();
    }
  });

  document.querySelectorAll("[data-submits]").forEach((field) => {
    field.addEventListener("change", () => field.form.requestSubmit());
  });

  // What the server needs to know, and what follows its answers.
  document.addEventListener("htmx:configRequest", (event) => {
    if (event.detail.verb !== "post") return;
    const row = current();
    const next = row && row.nextElementSibling;
    event.detail.headers["X-Next"] = (next && next.dataset.id) || "";
  });
  document.addEventListener("htmx:beforeRequest", (event) => {
    if (event.detail.target !== pane) return;
    if (busy && event.detail.requestConfig.verb === "post") { event.preventDefault(); return; }
    busy = true;
    pane.setAttribute("aria-busy", "true");
  });
  document.addEventListener("htmx:afterRequest", (event) => {
    if (event.detail.target !== pane) return;
    busy = false;
    pane.removeAttribute("aria-busy");
  });
  document.addEventListener("htmx:afterSwap", (event) => {
    if (event.detail.target !== pane) return;
    shownAt = performance.now();
    const article = pane.querySelector("article");
    review.classList.toggle("opened", Boolean(article));
    pane.scrollTop = 0;
    if (matchMedia("(max-width: 900px)").matches) scrollTo(0, 0);
    if (event.detail.requestConfig.verb === "get") say("");
    alarm("");
    if (article) article.focus({ preventScroll: true });
    mark();
  });
  document.addEventListener("htmx:oobAfterSwap", mark);
  const failed = (event) => {
    if (event.detail.elt.closest("#words, #similar, #parts")) return;
    const status = event.detail.xhr && event.detail.xhr.status;
    const words = {
      0: "连不上服务器，操作没有生效。请检查网络后再试。", 403: "您的账号没有这项权限。", 404: "找不到这一件。",
      422: "填写的内容不全或不对，请检查后再试。", 429: "服务器正忙，操作没有生效，请过几秒再试。",
    };
    alarm(words[status] || `操作没有生效（${status}），请刷新后再试。`);
  };
  document.addEventListener("htmx:responseError", failed);
  document.addEventListener("htmx:sendError", failed);

  // The picker of categories.
  const MOST = 3;
  let asked = 0;
  let found = Promise.resolve();

  function lookUp(input) {
    const mine = ++asked;
    const list = $("options");
    found = fetch(`/queue/categories?q=${encodeURIComponent(input.value)}`, { headers: { "HX-Request": "true" } })
      .then((answer) => { if (!answer.ok) throw new Error(answer.status); return answer.text(); })
      .then((html) => {
        if (mine !== asked || !list.isConnected) return;
        list.innerHTML = html;
        list.hidden = false;
        input.setAttribute("aria-expanded", "true");
        point(input, 0);
      })
      .catch(() => alarm("查不到分类，请检查网络后再试。"));
  }

  function point(input, to) {
    const options = [...$("options").querySelectorAll("[data-code]")];
    options.forEach((option, i) => option.setAttribute("aria-selected", String(i === to)));
    if (!options[to]) { input.removeAttribute("aria-activedescendant"); return; }
    input.setAttribute("aria-activedescendant", options[to].id);
    options[to].scrollIntoView({ block: "nearest" });
  }

  function fold(input) {
    asked += 1;
    $("options").hidden = true;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  }

  function choose(input, option) {
    const chosen = $("chosen");
    if (!option) return;
    const codes = [...chosen.querySelectorAll("input")].map((one) => one.value);
    if (codes.includes(option.dataset.code)) say(`${option.dataset.name}已经选了。`);
    else if (codes.length >= MOST) say("最多选三类。");
    else {
      const chip = document.createElement("li");
      const held = Object.assign(document.createElement("input"), { type: "hidden", name: "labels", value: option.dataset.code });
      const drop = Object.assign(document.createElement("button"), { type: "button", className: "drop", textContent: "×" });
      drop.setAttribute("aria-label", `去掉${option.dataset.name}`);
      drop.addEventListener("click", () => { chip.remove(); input.focus(); });
      chip.append(held, option.dataset.name, drop);
      chosen.append(chip);
      say(`已选${codes.length ? "" : "主分类"}${option.dataset.name}，再按回车确认。`);
    }
    input.value = "";
    fold(input);
  }

  async function onPickerKey(event) {
    const input = event.target;
    const options = [...$("options").querySelectorAll("[data-code]")];
    const at = options.findIndex((option) => option.getAttribute("aria-selected") === "true");
    if (event.isComposing) return;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if ($("options").hidden) lookUp(input);
      else point(input, (at + (event.key === "ArrowDown" ? 1 : options.length - 1)) % options.length);
    } else if (event.key === "Enter") {
      if (!input.value && $("options").hidden && $("chosen").children.length) return; // sends the form
      event.preventDefault();
      await found;
      choose(input, $("options").querySelector('[data-code][aria-selected="true"]'));
    } else if (event.key === "Backspace" && !input.value && $("chosen").lastElementChild) {
      $("chosen").lastElementChild.remove();
    } else if (event.key === "Escape" && !$("options").hidden) {
      event.preventDefault();
      fold(input);
    }
  }
  pane.addEventListener("input", (event) => { if (event.target.id === "picker") lookUp(event.target); });
  pane.addEventListener("keydown", (event) => { if (event.target.id === "picker") onPickerKey(event); });
  pane.addEventListener("focusout", (event) => {
    if (event.target.id === "picker") setTimeout(() => { if (event.target.isConnected) fold(event.target); }, 200);
  });
  pane.addEventListener("click", (event) => {
    const option = event.target.closest("#options [data-code]");
    if (option) { choose($("picker"), option); $("picker").focus(); }
    else if (event.target.id === "picker" && $("options").hidden) lookUp(event.target);
  });
  // Only a department or a note was changed: the labels stay as they are.
  document.addEventListener("htmx:configRequest", (event) => {
    const form = event.detail.elt;
    if (form.id !== "panel-edit" || event.detail.formData.has("labels") || !form.dataset.labels) return;
    form.dataset.labels.split(",").forEach((code) => event.detail.formData.append("labels", code));
  });

  mark();
})();
