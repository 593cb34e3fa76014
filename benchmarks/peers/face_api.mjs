// face-api's expression net, no face detector: paths come in on standard input, one JSON object with scores and
// seconds goes out. `node face_api.mjs DIR (tfjs-node | wasm)`, where DIR holds the node_modules; the same as
// program.py for Python.

const started = performance.now();

import fs from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";

const WARM_UP = 128;
// Its label -> FERPlus' name.
const CLASSES = {
  neutral: "neutral",
  happy: "happiness",
  sad: "sadness",
  angry: "anger",
  fearful: "fear",
  disgusted: "disgust",
  surprised: "surprise",
};

class CannotRun extends Error {}

// Modules are those of the user's folder, not of this file's.
const require = createRequire(path.resolve(process.argv[2], "any.js"));

function load(name) {
  try {
    return require(name);
  } catch (error) {
    throw new CannotRun(`${name} cannot be loaded: ${error.message.split("\n")[0]}`);
  }
}

// Not by require: some packages do not export their package.json.
function folderOf(name) {
  const folders = require.resolve.paths(name).map((folder) => path.join(folder, name));
  const found = folders.find((folder) => fs.existsSync(path.join(folder, "package.json")));
  if (!found) throw new CannotRun(`${name} is not installed`);
  return found;
}

function versionOf(name) {
  return JSON.parse(fs.readFileSync(path.join(folderOf(name), "package.json"))).version;
}

// Each backend with the decoder that goes with it and the batch that suits it.
const BACKENDS = {
  "tfjs-node": async () => {
    const tf = load("@tensorflow/tfjs-node");
    const faceapi = load("@vladmandic/face-api/dist/face-api.node.js");
    const decode = async (file) => tf.node.decodeImage(fs.readFileSync(file), 3);
    const versions = { libtensorflow: tf.backend().binding.TF_Version };
    return { tf, faceapi, decode, batch: 64, packages: ["@tensorflow/tfjs-node"], versions };
  },
  wasm: async () => {
    const tf = load("@tensorflow/tfjs");
    const wasm = load("@tensorflow/tfjs-backend-wasm");
    const sharp = load("sharp");
    wasm.setWasmPaths(path.join(folderOf("@tensorflow/tfjs-backend-wasm"), "dist") + path.sep);
    if (!(await tf.setBackend("wasm"))) throw new CannotRun("the wasm backend of tfjs does not start");
    const faceapi = load("@vladmandic/face-api/dist/face-api.node-wasm.js");
    const decode = async (file) => {
      const image = sharp(file).toColourspace("srgb").removeAlpha().raw();
      const { data, info } = await image.toBuffer({ resolveWithObject: true });
      return tf.tensor3d(new Uint8Array(data), [info.height, info.width, 3], "int32");
    };
    return { tf, faceapi, decode, batch: 32, packages: ["@tensorflow/tfjs-backend-wasm", "sharp"] };
  },
};

async function classify({ net, decode, batch, tf }, paths) {
  const scores = [];
  for (let start = 0; start < paths.length; start += batch) {
    const images = await Promise.all(paths.slice(start, start + batch).map(decode));
    const faces = await net.predictExpressions(images);
    tf.dispose(images);
    for (const face of faces) scores.push(Object.keys(CLASSES).map((label) => face[label]));
  }
  return scores;
}

async function answer() {
  const paths = fs.readFileSync(0, "utf8").split("\n").filter((line) => line);
  const backend = process.argv[3];
  const peer = await BACKENDS[backend]();
  await peer.tf.ready();
  peer.net = new peer.faceapi.FaceExpressionNet();
  await peer.net.loadFromDisk(path.join(folderOf("@vladmandic/face-api"), "model"));
  const loaded = performance.now();
  await classify(peer, paths.slice(0, WARM_UP));
  const begun = performance.now();
  const scores = await classify(peer, paths);
  const ended = performance.now();
  const packages = ["@vladmandic/face-api", ...peer.packages];
  const versions = packages.map((name) => [name, versionOf(name)]);
  return {
    how: `FaceExpressionNet.predictExpressions on ${backend}, batches of ${peer.batch}, RGB at 112 px`,
    versions: { node: process.versions.node, ...Object.fromEntries(versions), ...peer.versions },
    classes: Object.values(CLASSES),
    scores,
    seconds: (ended - begun) / 1000,
    startup_seconds: (loaded - started) / 1000,
  };
}

console.log = console.info = console.error; // tfjs greets on standard output, which is the answer's alone
let said;
try {
  said = await answer();
} catch (error) {
  if (!(error instanceof CannotRun)) {
    console.error(error.stack, `\n${error.name}: ${error.message.split("\n")[0]}`); // the reason comes last
    process.exit(1);
  }
  said = { cannot_run: error.message };
}
process.stdout.write(JSON.stringify(said), () => process.exit(0));
