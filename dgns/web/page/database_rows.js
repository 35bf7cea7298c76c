// What of a log is shown at once: bounded, whatever its authors write.

/** Bytes of text of a record, and records of an entry; entries of a log, and their bytes. */
const [TEXT_BYTES_MAX, RECORDS_MAX] = [4096, 8];
const [ROWS_MAX, ROWS_BYTES_MAX] = [1000, 4 << 20];

/** Returns what is shown of the records of an entry: `{parts: [{text, more}], more}`, the first of them, each with how many bytes it has besides; and how many more there are. */
export function partsOf(records) {
  const parts = records.slice(0, RECORDS_MAX).map(partOf);
  return { parts, more: records.length - parts.length };
}

function partOf(bytes) {
  if (bytes.pieces !== undefined) return { text: `${bytes.bytes} bytes in ${bytes.pieces.length} chunks: \u201cdgns db get\u201d fetches them`, more: 0 };
  const isWhole = bytes.length <= TEXT_BYTES_MAX;
  try {
    const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
    // Of a text that goes on, the last character may be cut: it waits in the decoder.
    const text = decoder.decode(bytes.subarray(0, TEXT_BYTES_MAX), { stream: !isWhole });
    return { text, more: isWhole ? 0 : bytes.length - new TextEncoder().encode(text).length };
  } catch {
    return { text: `${bytes.length} bytes that are no text`, more: 0 };
  }
}

/** The entries that are shown, `{pos, entry, counts, ...}`, the first first: the newest, as far as there is room. */
export class Rows {
  all = [];
  #bytes = 0;

  /** Adds rows; returns those that there is no room for any more. */
  add(rows) {
    this.all.push(...rows);
    this.#bytes += rows.reduce((sum, row) => sum + bytesOf(row), 0);
    let dropped = 0;
    while (dropped < this.all.length - 1 && (this.all.length - dropped > ROWS_MAX || this.#bytes > ROWS_BYTES_MAX)) this.#bytes -= bytesOf(this.all[dropped++]);
    return this.all.splice(0, dropped);
  }

  /** Judges every row again by `counts(pos, header)`; returns those that are worth something else now, changed. */
  async judged(counts) {
    const changed = [];
    for (const row of this.all) if ((await counts(row.pos, row.entry.header)) !== row.counts) changed.push(row);
    return changed.map((row) => Object.assign(row, { counts: !row.counts }));
  }
}

const bytesOf = ({ entry }) => entry.headerBytes.length + entry.body.length;
