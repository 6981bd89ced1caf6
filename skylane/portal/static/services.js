// The site's own services, as any client would call them.

/** Split CSV text (RFC 4180) into rows of strings. */
export function parseCsv(text) {
  const rows = [];
  let row = [];
  let field = "";
  let quoted = false;
  for (let i = 0; i < text.length; i += 1) {
    const letter = text[i];
    if (quoted) {
      if (letter === '"' && text[i + 1] === '"') {
        field += '"';
        i += 1;
      } else if (letter === '"') quoted = false;
      else field += letter;
    } else if (letter === '"') quoted = true;
    else if (letter === ",") {
      row.push(field);
      field = "";
    } else if (letter === "\n") {
      row.push(field);
      rows.push(row);
      row = [];
      field = "";
    } else if (letter !== "\r") field += letter;
  }
  if (field || row.length) rows.push([...row, field]);
  return rows;
}

function votableError(text) {
  const info = new DOMParser()
    .parseFromString(text, "text/xml")
    .querySelector('INFO[name="QUERY_STATUS"][value="ERROR"]');
  return info ? info.textContent.trim() : text.slice(0, 300);
}

/** Run an ADQL query; gives one object a row. */
export async function queryTap(query, maxrec = 2000) {
  const body = new URLSearchParams({
    LANG: "ADQL",
    QUERY: query,
    RESPONSEFORMAT: "csv",
    MAXREC: String(maxrec),
  });
  const answer = await fetch("tap/sync", { method: "POST", body });
  const text = await answer.text();
  if (!answer.ok) throw new Error(votableError(text));
  const [names, ...rows] = parseCsv(text);
  return rows.map((row) => Object.fromEntries(names.map((name, i) => [name, row[i]])));
}

/** Fetch the DataLink rows of one identifier. */
export async function fetchLinks(did) {
  const answer = await fetch(`datalink/links?${new URLSearchParams({ ID: did })}`);
  const text = await answer.text();
  if (!answer.ok) throw new Error(votableError(text));
  const votable = new DOMParser().parseFromString(text, "text/xml");
  const table = votable.querySelector('RESOURCE[type="results"] TABLE');
  const names = Array.from(table.querySelectorAll("FIELD"), (field) => field.getAttribute("name"));
  return Array.from(table.querySelectorAll("TR"), (row) =>
    Object.fromEntries(Array.from(row.children, (cell, i) => [names[i], cell.textContent])),
  ).map((link) => ({ ...link, service: readDescriptor(votable, link.service_def) }));
}

function readDescriptor(votable, id) {
  if (!id) return null;
  const resource = votable.querySelector(`RESOURCE[ID="${CSS.escape(id)}"]`);
  return resource && {
    accessUrl: resource.querySelector('PARAM[name="accessURL"]').getAttribute("value"),
  };
}

/** Give the URL of a circular cutout. */
export function cutoutUrl(accessUrl, did, ra, dec, radius) {
  return `${accessUrl}?${new URLSearchParams({ ID: did, CIRCLE: `${ra} ${dec} ${radius}` })}`;
}

/** Give the names of the collections that there are. */
export async function fetchCollections() {
  const query = "SELECT obs_collection, COUNT(*) AS images FROM ivoa.obscore GROUP BY obs_collection";
  return (await queryTap(query)).map((row) => row.obs_collection).sort();
}

/** Give the URL of the coverage map of a collection, or of all. */
export function coverageUrl(collection) {
  return new URL(`moc/${encodeURIComponent(collection)}`, document.baseURI).href;
}

/** Read the site's list of HiPS: one object of properties each. */
export async function fetchHipsList() {
  const answer = await fetch("hips/list");
  if (!answer.ok) throw new Error("the list of HiPS could not be read");
  const blocks = (await answer.text()).split(/\n\s*\n/);
  return blocks
    .map((block) =>
      Object.fromEntries(
        block
          .split("\n")
          .filter((line) => line.includes("=") && !line.startsWith("#"))
          .map((line) => [
            line.slice(0, line.indexOf("=")).trim(),
            line.slice(line.indexOf("=") + 1).trim(),
          ]),
      ),
    )
    .filter((properties) => properties.hips_service_url);
}
