// Azurite with a container "flott": FOLDER PORT. It ends with this process.
import { createHmac } from "node:crypto";
import { spawn } from "node:child_process";

const [program, folder, port] = process.argv.slice(2);
// The emulator's account and key are the same everywhere, and in its documentation.
const account = "devstoreaccount1";
const key = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
const version = "2021-08-06";

const options = ["--blobHost", "127.0.0.1", "--blobPort", port, "--location", folder];
const server = spawn(program, [...options, "--disableTelemetry", "--skipApiVersionCheck", "--silent"]);
process.on("exit", () => server.kill("SIGKILL"));
process.on("SIGTERM", () => process.exit(0));
server.on("exit", (code) => process.exit(code ?? 1));

async function createContainer() {
  const date = new Date().toUTCString();
  const path = `/${account}/${account}/flott`;
  const text = `PUT${"\n".repeat(12)}x-ms-date:${date}\nx-ms-version:${version}\n${path}\nrestype:container`;
  const signature = createHmac("sha256", Buffer.from(key, "base64")).update(text).digest("base64");
  const headers = {
    "x-ms-date": date,
    "x-ms-version": version,
    Authorization: `SharedKey ${account}:${signature}`,
  };
  const url = `http://127.0.0.1:${port}/${account}/flott?restype=container`;
  const answer = await fetch(url, { method: "PUT", headers });
  if (answer.status !== 201) throw new Error(`the container is not created: ${answer.status}`);
}

for (;;) {
  try {
    await createContainer();
    break;
  } catch (error) {
    // It does not listen yet.
    if (error.cause?.code !== "ECONNREFUSED") throw error;
    await new Promise((done) => setTimeout(done, 50));
  }
}
console.log("ready");
