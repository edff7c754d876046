import ca.uhn.hl7v2.DefaultHapiContext;
import ca.uhn.hl7v2.HapiContext;
import ca.uhn.hl7v2.app.HL7Service;
import ca.uhn.hl7v2.llp.MinLowerLayerProtocol;
import ca.uhn.hl7v2.model.Message;
import ca.uhn.hl7v2.protocol.ReceivingApplication;
import ca.uhn.hl7v2.validation.impl.ValidationContextFactory;
import java.nio.charset.StandardCharsets;
import java.util.Map;

/** Parses every message, answers AA, and forgets it: what a receiver costs that promises nothing. */
public class TakeAnything implements ReceivingApplication<Message> {
    public static void main(String[] arguments) throws Exception {
        HapiContext context = new DefaultHapiContext();
        MinLowerLayerProtocol protocol = new MinLowerLayerProtocol();
        protocol.setCharset(StandardCharsets.UTF_8);
        context.setLowerLayerProtocol(protocol);
        context.setValidationContext(ValidationContextFactory.noValidation());
        HL7Service server = context.newServer(Integer.parseInt(arguments[0]), false);
        server.registerApplication("*", "*", new TakeAnything());
        server.startAndWait();
    }

    @Override
    public boolean canProcess(Message message) {
        return true;
    }

    @Override
    public Message processMessage(Message message, Map<String, Object> metadata) throws ca.uhn.hl7v2.HL7Exception {
        try {
            return message.generateACK();
        } catch (java.io.IOException error) {
            throw new ca.uhn.hl7v2.HL7Exception(error);
        }
    }
}
