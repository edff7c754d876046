// A modality of dcmjs-dimse that performs a scheduled step: node performs.js PORT ACCESSION STEP. It takes patient and UIDs from
// its worklist, tells what it begins and how it ended, and ends it once more; the statuses, as JSON.
import dcmjsDimse from "dcmjs-dimse";

const { Client, Dataset, constants, requests } = dcmjsDimse;
const [port, accession, uid] = process.argv.slice(2);

/** Sends one request; its responses. */
function ask(request) {
  return new Promise((resolve, reject) => {
    const came = [];
    request.on("response", (response) => came.push(response));
    const client = new Client();
    client.on("closed", () => resolve(came));
    client.on("associationRejected", (result) => reject(new Error(JSON.stringify(result))));
    client.on("networkError", reject);
    client.addRequest(request);
    client.send("127.0.0.1", Number(port), "CT1", "GANTRY");
  });
}

const query = requests.CFindRequest.createWorklistFindRequest({
  AccessionNumber: accession,
  PatientName: "",
  PatientID: "",
  StudyInstanceUID: "",
  RequestedProcedureID: "",
  ScheduledProcedureStepSequence: [{ ScheduledProcedureStepID: "", Modality: "CT" }],
});
const found = (await ask(query)).filter((response) => response.hasDataset()).map((response) => response.getDataset());
const order = found[0];
const value = (name) => order?.getElement(name) ?? "";
const step = [value("ScheduledProcedureStepSequence")].flat()[0];

const begun = new Dataset({
  SpecificCharacterSet: "ISO_IR 192",
  PatientName: value("PatientName"),
  PatientID: value("PatientID"),
  PatientBirthDate: "",
  PatientSex: "",
  ScheduledStepAttributesSequence: [
    {
      StudyInstanceUID: value("StudyInstanceUID"),
      ReferencedStudySequence: [],
      AccessionNumber: value("AccessionNumber"),
      RequestedProcedureID: value("RequestedProcedureID"),
      ScheduledProcedureStepID: step.ScheduledProcedureStepID ?? "",
    },
  ],
  PerformedProcedureStepID: "P1",
  PerformedStationAETitle: "CT1",
  PerformedProcedureStepStartDate: "20260105",
  PerformedProcedureStepStartTime: "0940",
  PerformedProcedureStepStatus: "IN PROGRESS",
  Modality: "CT",
  PerformedSeriesSequence: [],
});
const over = new Dataset({
  PerformedProcedureStepStatus: "COMPLETED",
  PerformedProcedureStepEndDate: "20260105",
  PerformedProcedureStepEndTime: "0950",
  PerformedSeriesSequence: [{ ProtocolName: "Head", SeriesInstanceUID: "1.2.840.99.1.1", ReferencedImageSequence: [] }],
});
const sopClass = constants.SopClass.ModalityPerformedProcedureStep;
const creation = () => {
  const request = new requests.NCreateRequest(sopClass, uid);
  request.setDataset(begun);
  return request;
};
const ending = () => {
  const request = new requests.NSetRequest(sopClass, uid);
  request.setDataset(over);
  return request;
};
const statuses = [];
// A step that has begun is not in the worklist any more: its device goes on with it.
const begins = order ? [creation(), creation()] : [];
for (const request of [...begins, ending(), ending()]) {
  statuses.push((await ask(request)).at(-1).getStatus());
}
console.log(JSON.stringify({ found: found.length, statuses }));
