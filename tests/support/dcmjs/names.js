// The names of the patients of a study as C-FIND and C-GET of dcmjs-dimse bring them: node names.js PORT UID
import dcmjsDimse from "dcmjs-dimse";

const { Client, constants, requests, responses } = dcmjsDimse;
const [port, uid] = process.argv.slice(2);

/** Sends one request; the data sets that came for it, in responses and in sub-operations. */
function ask(request) {
  return new Promise((resolve, reject) => {
    const came = [];
    request.on("response", (response) => response.hasDataset() && came.push(response.getDataset()));
    const client = new Client();
    client.on("cStoreRequest", (store, done) => {
      came.push(store.getDataset());
      const answer = responses.CStoreResponse.fromRequest(store);
      answer.setStatus(constants.Status.Success);
      done(answer);
    });
    client.on("closed", () => resolve(came));
    client.on("associationRejected", (result) => reject(new Error(JSON.stringify(result))));
    client.on("networkError", reject);
    client.addRequest(request);
    client.send("127.0.0.1", Number(port), "DCMJS", "GANTRY");
  });
}

// A last response may list what could not be sent, since nobody asked for a context for it: it names no patient.
const named = (datasets) => datasets.filter((one) => one.getElement("PatientName") !== undefined).map(name);
const name = (dataset) => {
  const value = dataset.getElement("PatientName");
  const [first] = Array.isArray(value) ? value : [value];
  return first?.Alphabetic ?? String(first ?? "");
};
const key = { StudyInstanceUID: uid, PatientName: "" };
const found = await ask(requests.CFindRequest.createStudyFindRequest(key));
const fetched = await ask(requests.CGetRequest.createStudyGetRequest(uid));
console.log(JSON.stringify({ found: named(found), fetched: named(fetched) }));
