// Reads what `cspdarknet export` wrote into an ONNX file: task, class names, input format.

const KEY = "cspdarknet";
const METADATA = 14; // the field `metadata_props` of a ModelProto; its entries are key and value
const VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5; // wire types of protocol buffers

/** Yield [number, bytes] of the length-delimited fields of a message. */
function* fields(bytes) {
  let at = 0;
  const varint = () => {
    let value = 0;
    for (let unit = 1; ; unit *= 128) {
      if (at >= bytes.length || unit > 2 ** 49) throw new Error("a damaged file");
      const byte = bytes[at++];
      value += (byte & 127) * unit;
      if (byte < 128) return value;
    }
  };
  while (at < bytes.length) {
    const tag = varint(), type = tag % 8;
    if (type === VARINT) while (bytes[at++] > 127);
    else if (type === FIXED64) at += 8;
    else if (type === FIXED32) at += 4;
    else if (type === BYTES) {
      const length = varint();
      yield [Math.floor(tag / 8), bytes.subarray(at, at += length)];
    } else throw new Error("a damaged file");
  }
}

/** Return the metadata of an exported file as an object. */
export function readMetadata(bytes) {
  try {
    const decoder = new TextDecoder();
    for (const [number, entry] of fields(bytes)) {
      if (number !== METADATA) continue;
      const [key, value] = [...fields(entry)].map(([, text]) => decoder.decode(text));
      if (key === KEY) return JSON.parse(value);
    }
  } catch { /* another kind of file */ }
  throw new Error("The model must be an ONNX file that `cspdarknet export` wrote.");
}
