import ca.uhn.fhir.context.FhirContext;
import ca.uhn.fhir.context.support.DefaultProfileValidationSupport;
import ca.uhn.fhir.validation.FhirValidator;
import ca.uhn.fhir.validation.ResultSeverityEnum;
import ca.uhn.fhir.validation.SingleValidationMessage;
import java.nio.file.Files;
import java.nio.file.Path;
import org.hl7.fhir.common.hapi.validation.support.CommonCodeSystemsTerminologyService;
import org.hl7.fhir.common.hapi.validation.support.InMemoryTerminologyServerValidationSupport;
import org.hl7.fhir.common.hapi.validation.support.ValidationSupportChain;
import org.hl7.fhir.common.hapi.validation.validator.FhirInstanceValidator;

/** Validates the resources of FHIR R4 in the named files by the definitions of HL7, and prints what is wrong, a line each. */
public final class Validate {
    public static void main(String[] files) throws Exception {
        FhirContext context = FhirContext.forR4();
        ValidationSupportChain support = new ValidationSupportChain(
            new DefaultProfileValidationSupport(context),
            new CommonCodeSystemsTerminologyService(context),
            new InMemoryTerminologyServerValidationSupport(context));
        FhirValidator validator = context.newValidator().registerValidatorModule(new FhirInstanceValidator(support));
        for (String file : files) {
            for (SingleValidationMessage one : validator.validateWithResult(Files.readString(Path.of(file))).getMessages()) {
                if (one.getSeverity().compareTo(ResultSeverityEnum.WARNING) >= 0) {
                    System.out.println(Path.of(file).getFileName() + " " + one.getSeverity() + " " + one.getLocationString() + ": " + one.getMessage());
                }
            }
            System.out.println(Path.of(file).getFileName() + " validated");
        }
    }
}
