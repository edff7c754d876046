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

/**
 * Validates the resources in the named files by the definitions of HL7, and prints what is wrong, a line each: of FHIR R5 in files
 * that are called so, of R4 in others.
 */
public final class Validate {
    public static void main(String[] files) throws Exception {
        FhirValidator r4 = null;
        FhirValidator r5 = null;
        for (String file : files) {
            boolean isR5 = Path.of(file).getFileName().toString().startsWith("r5-");
            // Each takes a quarter of a minute to make.
            if (isR5 && r5 == null) {
                r5 = validator(FhirContext.forR5());
            } else if (!isR5 && r4 == null) {
                r4 = validator(FhirContext.forR4());
            }
            FhirValidator validator = isR5 ? r5 : r4;
            for (SingleValidationMessage one : validator.validateWithResult(Files.readString(Path.of(file))).getMessages()) {
                if (one.getSeverity().compareTo(ResultSeverityEnum.WARNING) >= 0) {
                    System.out.println(Path.of(file).getFileName() + " " + one.getSeverity() + " " + one.getLocationString() + ": " + one.getMessage());
                }
            }
            System.out.println(Path.of(file).getFileName() + " validated");
        }
    }

    private static FhirValidator validator(FhirContext context) {
        ValidationSupportChain support = new ValidationSupportChain(
            new DefaultProfileValidationSupport(context),
            new CommonCodeSystemsTerminologyService(context),
            new InMemoryTerminologyServerValidationSupport(context));
        return context.newValidator().registerValidatorModule(new FhirInstanceValidator(support));
    }
}
