// Draws each chart of 看板 from the same tables that the page shows.
"use strict";

const COLOURS = {
  auto: "#0b6e69", review: "#e0a030", out_of_scope: "#9aa8a6", late: "#b3261e",
  plain: ["#0b6e69", "#e0a030", "#4a78b5", "#b3566b", "#7a9a3a", "#7d64a8", "#3f9aa5", "#a3743c", "#9aa8a6"],
};
const MOST_BARS = 15;
const BAR_STEP = 28;

function show(value, kind) {
  if (value === null) return "—";
  if (kind === "share") return (value * 100).toFixed(1) + "%";
  return kind === "hours" ? value.toFixed(1) + " 小时" : String(value);
}

function seriesOf(table) {
  let plain = 0;
  return table.columns
    .map((column, index) => ({ ...column, index }))
    .filter((column) => column.series)
    .map((column) => ({
      ...column,
      colour: column.series === "plain" ? COLOURS.plain[plain++ % COLOURS.plain.length] : COLOURS[column.series],
    }));
}

// Bars lie, so that long names can be read; the largest stands on top.
function barOption(table, series, narrow) {
  const rows = table.rows.slice(0, MOST_BARS).reverse();
  const kind = series[0].kind;
  return {
    height: rows.length * BAR_STEP * (series.length > 1 ? 1.35 : 1) + 40,
    grid: { left: 4, right: 64, top: 4, bottom: 4, containLabel: true },
    xAxis: { type: "value", splitLine: { lineStyle: { color: "#e6eceb" } }, minInterval: kind === "count" ? 1 : 0,
      axisLabel: { color: "#566664", formatter: (v) => (kind === "share" ? Math.round(v * 100) + "%" : v), hideOverlap: true } },
    yAxis: { type: "category", data: rows.map((row) => row[0]), axisTick: { show: false },
      axisLabel: { color: "#1d2b2a", width: narrow ? 110 : 150, overflow: "truncate" } },
    series: series.map((one) => ({
      type: "bar", name: one.name, barMaxWidth: 18, barGap: "10%", itemStyle: { color: one.colour, borderRadius: [0, 3, 3, 0] },
      label: { show: true, position: "right", color: "#566664", formatter: ({ value }) => show(value, one.kind) },
      data: rows.map((row) => row[one.index]),
    })),
    rows,
  };
}

// Columns stand side by side along the days, one on the other where there are several series.
function columnOption(table, series) {
  return {
    height: 260,
    grid: { left: 4, right: 12, top: 12, bottom: 4, containLabel: true },
    xAxis: { type: "category", data: table.rows.map((row) => row[0]), axisTick: { show: false },
      axisLabel: { color: "#566664", formatter: (day) => day.slice(5), hideOverlap: true } },
    yAxis: { type: "value", minInterval: 1, splitLine: { lineStyle: { color: "#e6eceb" } }, axisLabel: { color: "#566664" } },
    series: series.map((one) => ({
      type: "bar", stack: "all", name: one.name, barMaxWidth: 28, itemStyle: { color: one.colour },
      data: table.rows.map((row) => row[one.index]),
    })),
    rows: table.rows,
  };
}

function addLegend(place, table, series) {
  if (series.length > 1) {
    const legend = document.createElement("ul");
    legend.className = "legend";
    for (const one of series) {
      const item = document.createElement("li");
      const mark = document.createElement("i");
      mark.style.background = one.colour;
      item.append(mark, one.name);
      legend.append(item);
    }
    place.before(legend);
  }
  if (table.chart === "bars" && table.rows.length > MOST_BARS) {
    const more = document.createElement("p");
    more.className = "readout";
    more.textContent = `图中为前 ${MOST_BARS} 行，全部 ${table.rows.length} 行见表格。`;
    place.after(more);
  }
}

function addReadout(place, chart, table, series, rows) {
  if (table.chart !== "columns") return;
  const readout = document.createElement("p");
  readout.className = "readout";
  readout.textContent = "指向图中的柱可看当日数字。";
  place.after(readout);
  chart.on("mouseover", ({ dataIndex }) => {
    const row = rows[dataIndex];
    readout.textContent = `${row[0]}：` + series.map((one) => `${one.name} ${show(row[one.index], one.kind)}`).join("，");
  });
}

function draw(place, table) {
  const series = seriesOf(table);
  if (!series.length) {
    place.remove();
    return null;
  }
  const narrow = place.clientWidth < 480;
  const { height, rows, ...option } = table.chart === "bars" ? barOption(table, series, narrow) : columnOption(table, series);
  place.style.height = `${height}px`;
  const chart = echarts.init(place);
  chart.setOption({ animation: false, textStyle: { fontFamily: getComputedStyle(document.body).fontFamily }, ...option });
  addLegend(place, table, series);
  addReadout(place, chart, table, series, rows);
  return chart;
}

async function start() {
  const figures = document.getElementById("figures");
  const answer = await fetch(figures.dataset.source);
  if (!answer.ok) {
    const error = document.createElement("p");
    error.className = "error";
    error.textContent = `图没有取到数据（${answer.status}），请刷新页面；表格照常可看。`;
    figures.before(error);
    return;
  }
  const { tables } = await answer.json();
  const charts = tables
    .map((table) => [document.querySelector(`.chart[data-table="${table.key}"]`), table])
    .filter(([place]) => place)
    .map(([place, table]) => draw(place, table))
    .filter(Boolean);
  addEventListener("resize", () => charts.forEach((chart) => chart.resize()));
  figures.dataset.drawn = charts.length;
}

start();
