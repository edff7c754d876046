import ca.uhn.hl7v2.DefaultHapiContext;
import ca.uhn.hl7v2.HapiContext;
import ca.uhn.hl7v2.app.HL7Service;
import ca.uhn.hl7v2.llp.MinLowerLayerProtocol;
import ca.uhn.hl7v2.model.Message;
import ca.uhn.hl7v2.model.v251.message.ORU_R01;
import ca.uhn.hl7v2.protocol.ReceivingApplication;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.concurrent.CountDownLatch;

/** Takes some messages about studies, with HAPI, and prints what they say; the first one is refused. */
public class TakeResults implements ReceivingApplication<Message> {
    private final PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
    private final CountDownLatch left;
    private boolean refused;

    private TakeResults(int count) {
        left = new CountDownLatch(count);
    }

    public static void main(String[] arguments) throws Exception {
        TakeResults taking = new TakeResults(Integer.parseInt(arguments[1]));
        try (HapiContext context = new DefaultHapiContext()) {
            MinLowerLayerProtocol protocol = new MinLowerLayerProtocol();
            protocol.setCharset(StandardCharsets.UTF_8);
            context.setLowerLayerProtocol(protocol);
            HL7Service server = context.newServer(Integer.parseInt(arguments[0]), false);
            server.registerApplication("ORU", "R01", taking);
            server.startAndWait();
            taking.left.await();
            Thread.sleep(500);
            server.stopAndWait();
        }
        System.exit(0);
    }

    @Override
    public boolean canProcess(Message message) {
        return true;
    }

    @Override
    public Message processMessage(Message message, Map<String, Object> metadata) throws ca.uhn.hl7v2.protocol.ReceivingApplicationException, ca.uhn.hl7v2.HL7Exception {
        ORU_R01 result = (ORU_R01) message;
        var patient = result.getPATIENT_RESULT().getPATIENT().getPID();
        var order = result.getPATIENT_RESULT().getORDER_OBSERVATION();
        var request = order.getOBR();
        var study = order.getOBSERVATION(0).getOBX();
        out.println(
                result.getMSH().getMessageControlID().getValue()
                        + " " + request.getResultStatus().getValue()
                        + " " + study.getObservationResultStatus().getValue()
                        + " " + study.getObservationIdentifier().getIdentifier().getValue()
                        + " " + study.getObservationValue(0).getData()
                        + " | " + patient.getPatientIdentifierList(0).getIDNumber().getValue()
                        + " | " + patient.getPatientName(0).getFamilyName().getSurname().getValue()
                        + " | " + patient.getPatientName(0).getGivenName().getValue()
                        + " | " + request.getPlacerField1().getValue()
                        + " | " + request.getUniversalServiceIdentifier().getText().getValue());
        left.countDown();
        try {
            if (!refused) {
                refused = true;
                return message.generateACK(ca.uhn.hl7v2.AcknowledgmentCode.AE, new ca.uhn.hl7v2.HL7Exception("the database is busy"));
            }
            return message.generateACK();
        } catch (java.io.IOException error) {
            throw new ca.uhn.hl7v2.HL7Exception(error);
        }
    }
}
