// A test in JavaScript against a real archive: Gantry's image in a container, C-STORE and C-FIND with dcmjs-dimse.
//
//     npm install && node example.js gantry:dev image.dcm
import assert from "node:assert/strict";
import dcmjsDimse from "dcmjs-dimse";
import { GenericContainer, Wait } from "testcontainers";

const { Client, constants, requests } = dcmjsDimse;
const [image, file] = process.argv.slice(2);

// A container sees the engine's address as everybody's, so this AE title is admitted from everywhere.
const policy = `
peers:
  - ae_title: CT1
    from: ["0.0.0.0/0", "::/0"]
    may: [echo, store, find]
`;

/** Sends one request; its responses, the final one last. */
function ask(host, port, request) {
  return new Promise((resolve, reject) => {
    const responses = [];
    request.on("response", (response) => responses.push(response));
    const client = new Client();
    client.addRequest(request);
    client.on("closed", () => resolve(responses));
    client.on("associationRejected", (result) => reject(new Error(`rejected: ${JSON.stringify(result)}`)));
    client.on("networkError", reject);
    client.send(host, port, "CT1", "GANTRY");
  });
}

const gantry = await new GenericContainer(image)
  .withExposedPorts(11112, 8080)
  .withCopyContentToContainer([{ content: policy, target: "/etc/gantry/gantry.yaml" }])
  .withEnvironment({ GANTRY_CONFIG: "/etc/gantry/gantry.yaml" })
  .withWaitStrategy(Wait.forHttp("/readyz", 8080))
  .start();
try {
  const [host, port] = [gantry.getHost(), gantry.getMappedPort(11112)];

  const [stored] = await ask(host, port, new requests.CStoreRequest(file));
  assert.equal(stored.getStatus(), constants.Status.Success);

  // What is stored is searchable a moment later.
  let found = [];
  for (let attempt = 0; attempt < 100 && found.length === 0; attempt++) {
    const query = requests.CFindRequest.createStudyFindRequest({ PatientID: "*" });
    found = (await ask(host, port, query)).filter((response) => response.hasDataset());
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assert.equal(found.length, 1);
  console.log("found:", found[0].getDataset().getElement("PatientID"));
} finally {
  await gantry.stop();
}
