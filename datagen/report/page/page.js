"use strict";
(() => {
  const PAGE = 25;
  const find = (id) => document.getElementById(id);
  let runs = [], plain = new Set(), shown = PAGE;

  // Theme: the system's, until the button says otherwise.
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const remember = (value) => { try { localStorage.setItem("datagen-theme", value); } catch { /* a file may not store */ } };
  try { const kept = localStorage.getItem("datagen-theme"); if (kept) root.dataset.theme = kept; } catch { /* as above */ }
  find("theme").addEventListener("click", () => {
    const now = root.dataset.theme || (dark.matches ? "dark" : "light");
    root.dataset.theme = now === "dark" ? "light" : "dark";
    remember(root.dataset.theme);
  });

  // Tooltips: what each mark of a chart stands for.
  const tip = find("tip");
  document.addEventListener("pointermove", (event) => {
    const mark = event.target.closest && event.target.closest("figure svg [aria-roledescription][aria-label]");
    const isMark = mark && /mark|bar|point|line/.test(mark.getAttribute("aria-roledescription"));
    tip.hidden = !isMark;
    if (isMark) {
      tip.textContent = mark.getAttribute("aria-label");
      tip.style.left = Math.min(event.clientX + 12, innerWidth - 220) + "px";
      tip.style.top = event.clientY + 14 + "px";
    }
  });

  // Samples. Texts are set as text, never as markup.
  const make = (tag, name, text) => {
    const element = document.createElement(tag);
    if (name) element.className = name;
    if (text !== undefined) element.textContent = text;
    return element;
  };
  const wordsOf = (text) => text.toLowerCase().match(/[\p{L}\p{N}]{3,}/gu) || [];
  const marked = (text, words) => {
    const paragraph = make("p");
    for (const piece of text.split(/([\p{L}\p{N}]+)/u)) {
      paragraph.append(words.has(piece.toLowerCase()) ? make("mark", "", piece) : piece);
    }
    return paragraph;
  };
  const factsOf = (row) => [
    row.rank ? `rank ${row.rank}` : "", row.source || "",
    ...[["teacher_score", "teacher"], ["reranker_score", "reranker"], ["p_false_negative", "P(false negative)"]]
      .filter(([name]) => row[name] !== undefined).map(([name, label]) => `${label} ${row[name].toFixed(3)}`),
    row.tier || "", row.doc_id,
  ].filter(Boolean).join(" · ");
  const tells = (word) => word.length > 2 && !plain.has(word);
  const fill = (details, query) => {
    const words = new Set(wordsOf(query.query).filter(tells));
    const slots = Object.entries(query.slots || {}).map(([k, v]) => `${k}: ${typeof v === "object" ? JSON.stringify(v) : v}`).join(", ");
    if (slots || query.generator) details.append(make("div", "row facts", [query.generator, slots].filter(Boolean).join(" · ")));
    const seen = {};
    for (const [place, row] of query.rows.entries()) {
      const box = make("div", `row ${row.outcome}`);
      const head = make("div");
      head.append(make("span", "tag", `${row.outcome}: ${row.reason.replaceAll("_", " ")} `), make("span", "facts", factsOf(row)));
      box.append(head, marked([row.title, row.text].filter(Boolean).join(" — "), words));
      details.append(box);
      seen[row.outcome] = (seen[row.outcome] || 0) + 1;
      const next = query.rows[place + 1];
      if ((!next || next.outcome !== row.outcome) && row.of > seen[row.outcome]) {
        details.append(make("div", "row more", `${(row.of - seen[row.outcome]).toLocaleString("en")} more ${row.outcome}, of lower rank`));
      }
    }
  };
  const entry = (query) => {
    const details = make("details", "query");
    const summary = make("summary", "", query.query + " ");
    const negatives = query.rows.filter((row) => row.outcome === "negative").length;
    summary.append(make("small", "", `${negatives} negatives · ${query.query_id}`));
    details.append(summary);
    details.addEventListener("toggle", () => { if (details.open && details.children.length === 1) fill(details, query); });
    return details;
  };

  const which = find("which"), search = find("search"), outcome = find("outcome"), reason = find("reason");
  const chosen = () => runs[which ? Number(which.value) : 0];
  const told = (query) => query.told ??= [query.query, ...query.rows.map((row) => `${row.title || ""} ${row.text || ""}`)].join("\n").toLowerCase();
  const holds = (query) => {
    const sought = search.value.trim().toLowerCase();
    const fits = (row) => (!outcome.value || row.outcome === outcome.value) && (!reason.value || row.reason === reason.value);
    return query.rows.some(fits) && (!sought || query.query_id.toLowerCase() === sought || told(query).includes(sought));
  };
  const draw = () => {
    const { queries, total } = chosen();
    const kept = queries.filter(holds);
    find("queries").replaceChildren(...kept.slice(0, shown).map(entry));
    const of = queries.length < total ? `a sample of ${queries.length} out of ${total.toLocaleString("en")} queries` : `${total} queries`;
    find("found").textContent = `${kept.length} of ${of}, the closest decisions first`;
    find("more").hidden = kept.length <= shown;
  };
  const restart = () => { shown = PAGE; draw(); };
  const listReasons = () => {
    const all = [...new Set(chosen().queries.flatMap((query) => query.rows.map((row) => row.reason)))].sort();
    reason.replaceChildren(new Option("any", ""), ...all.map((name) => new Option(name.replaceAll("_", " "), name)));
  };
  const listen = () => {
    for (const control of [search, outcome, reason]) control.addEventListener("input", restart);
    if (which) which.addEventListener("input", () => { listReasons(); restart(); });
    find("more").addEventListener("click", () => { shown += PAGE; draw(); });
  };
  find("filters").addEventListener("submit", (event) => event.preventDefault());
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !/INPUT|SELECT|TEXTAREA/.test(event.target.tagName)) { event.preventDefault(); search.focus(); }
  });

  // The samples are packed, and unpacked only once the page is painted: how many there are does not hold it up.
  const unpack = async () => {
    const bytes = Uint8Array.from(atob(find("data").textContent), (letter) => letter.charCodeAt(0));
    const plainly = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return JSON.parse(await new Response(plainly).text());
  };
  const start = async () => {
    const found = await unpack();
    plain = new Set(found.plain);
    runs = found.runs;
    for (const { queries, documents } of runs) for (const query of queries) for (const row of query.rows) Object.assign(row, documents[row.document]);
    listReasons();
    draw();
    listen();
    performance.mark("samples-ready");
  };
  const fail = () => { find("found").textContent = "This browser cannot unpack the samples: a newer one can."; };
  requestAnimationFrame(() => setTimeout(() => start().catch(fail)));
})();
