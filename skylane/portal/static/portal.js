// The portal page: a sky, a search, footprints, and for a chosen image its metadata, links, cutout.

import { drawImage, readImage } from "./fits.js";
import {
  coverageUrl, cutoutUrl, fetchCollections, fetchHipsList, fetchLinks, queryTap,
} from "./services.js";
import { contains, parseRegion, separation } from "./sphere.js";

const MAX_ROWS = 500;
const COLUMNS = [
  ["obs_id", "observation", String],
  ["filter", "filter", String],
  ["t_min", "start (UTC)", startOf],
  ["t_exptime", "exp. (s)", String],
  ["instrument_name", "instrument", String],
];
const byId = (id) => document.getElementById(id);
const state = {
  aladin: null, overlay: null, chosenOverlay: null, coverage: null, rows: [], chosen: null, at: null,
};

function say(text, isError = false) {
  byId("status").textContent = text;
  byId("status").className = isError ? "error" : "";
}

function startOf(mjd) {
  const unixDays = Number(mjd) - 40587;
  return new Date(unixDays * 86400e3).toISOString().slice(0, 16).replace("T", " ");
}

function adqlNumber(value) {
  if (!Number.isFinite(value)) throw new Error("positions and sizes are numbers in degrees");
  return value.toFixed(9);
}

function adqlRegion(region) {
  if (region.shape === "CIRCLE") {
    return `CIRCLE(${[...region.centre, region.radius].map(adqlNumber).join(", ")})`;
  }
  return `POLYGON(${region.vertices.flat().map(adqlNumber).join(", ")})`;
}

async function search(region) {
  say("Searching ...");
  const query =
    `SELECT TOP ${MAX_ROWS} * FROM ivoa.obscore ` +
    `WHERE 1 = INTERSECTS(s_region, ${adqlRegion(region)}) ORDER BY t_min DESC`;
  const rows = await queryTap(query, MAX_ROWS);
  state.rows = rows.map((row) => ({
    ...row,
    outline: row.s_region ? parseRegion(row.s_region) : null,
  }));
  const more = rows.length === MAX_ROWS ? ` (the first ${MAX_ROWS})` : "";
  say(`${rows.length} image${rows.length === 1 ? "" : "s"} found${more}.`);
  showRows();
  showFootprints();
  keepChoice();
}

// What is told of a chosen image stays as long as it is among those found.
function keepChoice() {
  const did = state.chosen && state.chosen.obs_publisher_did;
  state.chosen = state.rows.find((row) => row.obs_publisher_did === did) || null;
  byId("details").hidden = state.chosen === null;
  if (state.chosen) markChosen(state.chosen);
}

function markChosen(row) {
  document.querySelectorAll("#results tbody tr").forEach((line) => {
    line.classList.toggle("chosen", line.dataset.did === row.obs_publisher_did);
  });
  if (state.aladin && row.outline) {
    state.chosenOverlay.removeAll();
    state.chosenOverlay.addFootprints([shapeOf(row.outline, {})]);
  }
}

function showRows() {
  const table = document.querySelector("#results table");
  const head = document.createElement("thead");
  head.insertRow().append(
    ...COLUMNS.map(([, title]) => Object.assign(document.createElement("th"), { textContent: title })),
  );
  const body = document.createElement("tbody");
  state.rows.forEach((row) => {
    const line = body.insertRow();
    line.dataset.did = row.obs_publisher_did;
    COLUMNS.forEach(([name, , show]) => {
      line.insertCell().textContent = row[name] ? show(row[name]) : "";
    });
    line.addEventListener("click", () => choose(row));
  });
  table.replaceChildren(head, body);
  offerFiles();
}

/** Let the files of all rows be fetched as one archive; a form, so that the browser saves it. */
function offerFiles() {
  byId("fetch-ids").replaceChildren(
    ...state.rows.map((row) => Object.assign(document.createElement("input"), {
      type: "hidden", name: "ID", value: row.obs_publisher_did,
    })),
  );
  byId("fetch-all").hidden = !state.rows.length;
}

function shapeOf(outline, options) {
  return outline.shape === "CIRCLE"
    ? window.A.circle(...outline.centre, outline.radius, options)
    : window.A.polygon(outline.vertices, options);
}

function showFootprints() {
  if (!state.aladin) return;
  state.overlay.removeAll();
  state.chosenOverlay.removeAll();
  state.overlay.addFootprints(
    state.rows.filter((row) => row.outline).map((row) => shapeOf(row.outline, {})),
  );
}

async function choose(row, at = null) {
  state.chosen = row;
  state.at = at || [Number(row.s_ra), Number(row.s_dec)];
  markChosen(row);
  byId("details").hidden = false;
  byId("details-title").textContent = row.obs_title || row.obs_id;
  byId("metadata").replaceChildren(
    ...Object.entries(row)
      .filter(([name, value]) => value && name !== "outline")
      .flatMap(([name, value]) => [
        Object.assign(document.createElement("dt"), { textContent: name }),
        Object.assign(document.createElement("dd"), { textContent: value }),
      ]),
  );
  byId("links").replaceChildren("Loading ...");
  try {
    const links = await fetchLinks(row.obs_publisher_did);
    if (state.chosen !== row) return;
    row.links = links;
    showLinks(links);
    await makeCutout();
  } catch (error) {
    byId("links").replaceChildren(error.message);
  }
}

function showLinks(links) {
  byId("links").replaceChildren(
    ...links.map((link) => {
      const item = document.createElement("li");
      const name = `${link.semantics} ${link.description || ""}`;
      if (link.access_url) {
        item.append(Object.assign(document.createElement("a"), {
          href: link.access_url, textContent: name,
        }));
      } else item.append(name);
      const size = Number(link.content_length);
      const notes = [link.content_type, size ? `${(size / 1e6).toFixed(2)} MB` : "", link.error_message];
      item.append(Object.assign(document.createElement("span"), {
        className: "quiet", textContent: ` ${notes.filter(Boolean).join(", ")}`,
      }));
      return item;
    }),
  );
}

async function makeCutout() {
  const row = state.chosen;
  const link = (row.links || []).find((one) => one.semantics === "#cutout" && one.service);
  const note = byId("cutout-status");
  note.className = "";
  byId("cutout-download").hidden = true;
  if (!link) {
    note.textContent = "This image has no cutout service.";
    return;
  }
  const radius = Number(byId("cutout-radius").value) / 3600;
  const url = cutoutUrl(link.service.accessUrl, row.obs_publisher_did, ...state.at, radius);
  note.textContent = "Cutting ...";
  const started = performance.now();
  try {
    const answer = await fetch(url);
    if (answer.status === 204) throw new Error("The circle does not touch this image.");
    if (!answer.ok) throw new Error((await answer.text()).slice(0, 300));
    const image = readImage(await answer.arrayBuffer());
    drawImage(byId("cutout"), image);
    const time = Math.round(performance.now() - started);
    note.textContent = `${image.width} x ${image.height} pixels around ` +
      `${state.at.map((x) => x.toFixed(5)).join(" ")}, ${time} ms`;
    Object.assign(byId("cutout-download"), { href: url, hidden: false });
  } catch (error) {
    note.textContent = error.message;
    note.className = "error";
  }
}

function clicked({ ra, dec }) {
  const here = state.rows.filter((row) => row.outline && contains(row.outline, [ra, dec]));
  if (!here.length) return;
  // Each further click at a place goes on to the next of the images that overlap there.
  const next = here[(here.indexOf(state.chosen) + 1) % here.length];
  say(`${here.length} image${here.length === 1 ? "" : "s"} here; click again for the next.`);
  choose(next, [ra, dec]);
}

function viewRegion() {
  const corners = state.aladin.getFoVCorners(2);
  const centre = state.aladin.getRaDec();
  const wide = state.aladin.getFov().some((side) => side > 90);
  if (wide || corners.length < 3) return { shape: "CIRCLE", centre, radius: 90 };
  return { shape: "POLYGON", vertices: corners.map(([ra, dec]) => [((ra % 360) + 360) % 360, dec]) };
}

function formRegion() {
  if (document.querySelector('input[name="kind"]:checked').value === "region") {
    return parseRegion(byId("region").value);
  }
  const centre = byId("position").value.trim().split(/[\s,]+/).map(Number);
  if (centre.length !== 2 || centre.some(Number.isNaN)) {
    throw new Error("give RA and Dec as two numbers in degrees, such as 150.1 2.2");
  }
  return { shape: "CIRCLE", centre, radius: Number(byId("radius").value) };
}

async function attempt(action) {
  try {
    await action();
  } catch (error) {
    say(error.message ?? error, true);
  }
}

function listen() {
  byId("search").addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(async () => {
      const region = formRegion();
      if (state.aladin && region.centre) state.aladin.gotoRaDec(...region.centre);
      await search(region);
    });
  });
  byId("search-view").addEventListener("click", () => attempt(() => search(viewRegion())));
  byId("cutout-make").addEventListener("click", () => attempt(makeCutout));
  document.querySelectorAll('input[name="kind"]').forEach((button) =>
    button.addEventListener("change", () => {
      byId("cone-fields").hidden = button.value !== "cone";
      byId("region-fields").hidden = button.value !== "region";
    }),
  );
}

function chooseSurvey(survey) {
  state.aladin.setBaseImageLayer(
    window.A.imageHiPS(survey.hips_service_url, { name: survey.obs_title || survey.hips_service_url }),
  );
}

const ALL = "all images";

/** Draw the coverage map of a collection, or of all; an empty name takes it away. */
function showCoverage(choice) {
  const url = coverageUrl(choice === ALL ? "" : choice);
  byId("coverage-file").href = url;
  if (!state.aladin) return;
  if (state.coverage) state.aladin.removeOverlay(state.coverage);
  state.coverage = null;
  if (!choice) return;
  const moc = window.A.MOCFromURL(
    url,
    { name: `coverage of ${choice}`, color: "#7ee2a8", opacity: 0.25, fill: true, perimeter: true },
    () => say(`The part of the sky that ${choice === ALL ? "all images cover" : `${choice} covers`}.`),
    () => say(`The coverage of ${choice} could not be read; perhaps it is being made.`, true),
  );
  state.coverage = moc;
  state.aladin.addMOC(moc);
}

function offerCoverage(collections) {
  const names = collections.length > 1 ? [ALL, ...collections] : collections;
  const select = byId("coverage");
  select.append(
    ...names.map((name) =>
      Object.assign(document.createElement("option"), { value: name, textContent: name }),
    ),
  );
  select.addEventListener("change", () => showCoverage(select.value));
}

async function startSky(surveys) {
  let aladinLite;
  try {
    aladinLite = (await import("./vendor/aladin.js")).default;
  } catch {
    byId("sky").innerHTML =
      '<p class="missing">The sky view needs Aladin Lite, which is not installed. ' +
      "Run <code>npm ci</code> in <code>skylane/portal</code> (or set <code>portal.aladin_lite</code>" +
      " to its <code>aladin.js</code>) and restart. Search, links and cutouts work without it.</p>";
    return;
  }
  window.A = aladinLite;
  await aladinLite.init;
  const first = surveys[0];
  state.aladin = aladinLite.aladin("#sky", {
    survey: first ? first.hips_service_url : undefined,
    hipsList: surveys.map((survey) => survey.hips_service_url),
    target: first ? `${first.hips_initial_ra} ${first.hips_initial_dec}` : "0 0",
    fov: first ? Math.max(Number(first.hips_initial_fov) || 1, 0.02) : 180,
    cooFrame: "ICRSd",
    showProjectionControl: false,
    showShareControl: false,
    showContextMenu: false,
    log: false, // nothing is told to other hosts
  });
  state.overlay = aladinLite.graphicOverlay({ color: "#5eb1ff", lineWidth: 1, name: "footprints" });
  state.chosenOverlay = aladinLite.graphicOverlay({ color: "#ffd166", lineWidth: 3, name: "chosen" });
  state.aladin.addOverlay(state.overlay);
  state.aladin.addOverlay(state.chosenOverlay);
  state.aladin.on("click", clicked);
}

function tellWithoutSky(reason) {
  const paragraph = document.createElement("p");
  paragraph.className = "missing";
  paragraph.textContent =
    `The sky view did not start: ${reason}. Reload the page to try again. ` +
    "Search, links and cutouts work without it.";
  byId("sky").replaceChildren(paragraph);
}

function offerSurveys(surveys) {
  const select = byId("survey");
  select.replaceChildren(
    ...surveys.map((survey, i) =>
      Object.assign(document.createElement("option"), { value: i, textContent: survey.obs_title }),
    ),
  );
  select.addEventListener("change", () => chooseSurvey(surveys[select.value]));
}

async function start() {
  listen();
  let surveys = [];
  await attempt(async () => {
    surveys = await fetchHipsList();
    // The colour HiPS is the one to see first.
    surveys.sort((a, b) =>
      (b.dataproduct_subtype === "color") - (a.dataproduct_subtype === "color"));
  });
  offerSurveys(surveys);
  await attempt(async () => offerCoverage(await fetchCollections()));
  try {
    await startSky(surveys);
  } catch (error) {
    state.aladin = null;
    tellWithoutSky(error.message ?? error);
  }
  const first = surveys[0];
  if (first && first.hips_initial_ra) {
    const centre = [Number(first.hips_initial_ra), Number(first.hips_initial_dec)];
    byId("position").value = centre.map((x) => x.toFixed(4)).join(" ");
    await attempt(() => search({ shape: "CIRCLE", centre, radius: 0.1 }));
  }
  document.body.dataset.ready = "true";
}

// Tests and curious users reach the page's state from the console.
window.skylane = { state, clicked, separation };
start();
