import ca.uhn.hl7v2.DefaultHapiContext;
import ca.uhn.hl7v2.HapiContext;
import ca.uhn.hl7v2.app.Connection;
import ca.uhn.hl7v2.app.Initiator;
import ca.uhn.hl7v2.llp.MinLowerLayerProtocol;
import ca.uhn.hl7v2.model.Message;
import ca.uhn.hl7v2.model.v251.message.ADT_A39;
import ca.uhn.hl7v2.model.v251.message.OMI_O23;
import ca.uhn.hl7v2.model.v251.segment.MSH;
import ca.uhn.hl7v2.model.v251.segment.PID;
import ca.uhn.hl7v2.parser.Parser;
import ca.uhn.hl7v2.util.Terser;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.TimeUnit;

/** Sends an imaging order, a change of it, one that is refused and a merge, with HAPI. */
public class SendOrder {
    public static void main(String[] arguments) throws Exception {
        String host = arguments[0];
        int port = Integer.parseInt(arguments[1]);
        try (HapiContext context = new DefaultHapiContext()) {
            context.setLowerLayerProtocol(new MinLowerLayerProtocol());
            ((MinLowerLayerProtocol) context.getLowerLayerProtocol()).setCharset(StandardCharsets.UTF_8);
            Connection connection = context.newClient(host, port, false);
            Initiator initiator = connection.getInitiator();
            initiator.setTimeout(30, TimeUnit.SECONDS);
            answer(context, "new", initiator.sendAndReceive(order("NW", "CT of the head", "HAPI1")));
            answer(context, "change", initiator.sendAndReceive(order("XO", "CT of the neck", "HAPI2")));
            answer(context, "refused", initiator.sendAndReceive(order("HD", "CT of the neck", "HAPI3")));
            answer(context, "merge", initiator.sendAndReceive(merge("HAPI4")));
            connection.close();
        }
        System.exit(0);
    }

    private static void answer(HapiContext context, String what, Message answer) throws Exception {
        Parser validating = context.getPipeParser();
        Message parsed = validating.parse(answer.encode());
        Terser terser = new Terser(parsed);
        String problem = answer.encode().contains("\rERR") ? " " + terser.get("/ERR-3-1") + " " + terser.get("/ERR-2-1") + "-" + terser.get("/ERR-2-3") : "";
        System.out.println(what + ": " + parsed.getName() + " " + terser.get("/MSA-1") + " " + terser.get("/MSA-2") + problem);
    }

    private static void header(MSH header, String controlId) throws Exception {
        header.getSendingApplication().getNamespaceID().setValue("HAPI");
        header.getSendingFacility().getNamespaceID().setValue("HOSPITAL");
        header.getMessageControlID().setValue(controlId);
        header.getCharacterSet(0).setValue("UNICODE UTF-8");
    }

    private static void patient(PID pid, String id) throws Exception {
        pid.getPatientIdentifierList(0).getIDNumber().setValue(id);
        pid.getPatientIdentifierList(0).getAssigningAuthority().getNamespaceID().setValue("HOSP");
        pid.getPatientIdentifierList(0).getIdentifierTypeCode().setValue("MR");
        pid.getPatientName(0).getFamilyName().getSurname().setValue("Müller & Söhne");
        pid.getPatientName(0).getGivenName().setValue("Jörg");
        pid.getDateTimeOfBirth().getTime().setValue("19700131");
        pid.getAdministrativeSex().setValue("M");
    }

    private static Message order(String control, String description, String controlId) throws Exception {
        OMI_O23 message = new OMI_O23();
        message.initQuickstart("OMI", "O23", "P");
        header(message.getMSH(), controlId);
        patient(message.getPATIENT().getPID(), "4711");
        var order = message.getORDER();
        order.getORC().getOrderControl().setValue(control);
        order.getORC().getPlacerOrderNumber().getEntityIdentifier().setValue("P100");
        order.getTIMING().getTQ1().getStartDateTime().getTime().setValue("20261128103000");
        order.getOBR().getUniversalServiceIdentifier().getIdentifier().setValue("CT1");
        order.getOBR().getUniversalServiceIdentifier().getText().setValue(description);
        order.getOBR().getUniversalServiceIdentifier().getNameOfCodingSystem().setValue("LOCAL");
        var ipc = order.getIPC();
        ipc.getAccessionIdentifier().getEntityIdentifier().setValue("H100");
        ipc.getRequestedProcedureID().getEntityIdentifier().setValue("RP100");
        ipc.getStudyInstanceUID().getEntityIdentifier().setValue("1.2.3.100");
        ipc.getScheduledProcedureStepID().getEntityIdentifier().setValue("S100");
        ipc.getModality().getIdentifier().setValue("CT");
        ipc.getIpc9_ScheduledAETitle().setValue("CT1");
        return message;
    }

    private static Message merge(String controlId) throws Exception {
        ADT_A39 message = new ADT_A39();
        message.initQuickstart("ADT", "A40", "P");
        header(message.getMSH(), controlId);
        patient(message.getPATIENT().getPID(), "4712");
        message.getPATIENT().getMRG().getPriorPatientIdentifierList(0).getIDNumber().setValue("4711");
        message.getPATIENT().getMRG().getPriorPatientIdentifierList(0).getAssigningAuthority().getNamespaceID().setValue("HOSP");
        return message;
    }
}
