"""PS3.15 table E.1-1 as data: written by `tests/compat/confidentiality.py`, not by hand.

A row: tag, keyword, action of the basic profile, and of each option that has one. The options' columns are those of
edition 2024b; rows that are newer have the basic profile alone.
"""

EDITION = "2026c"
OPTIONS_EDITION = "2024b"

ROWS = """\
00001000 AffectedSOPInstanceUID X uids=K
00001001 RequestedSOPInstanceUID U uids=K
00020003 MediaStorageSOPInstanceUID U uids=K
00041511 ReferencedSOPInstanceUIDInFile U uids=K
00080012 InstanceCreationDate X/D full-dates=K modified-dates=C
00080013 InstanceCreationTime X/Z/D full-dates=K modified-dates=C
00080014 InstanceCreatorUID U uids=K
00080015 InstanceCoercionDateTime X full-dates=K modified-dates=C
00080017 AcquisitionUID U uids=K
00080018 SOPInstanceUID U uids=K
00080019 PyramidUID U uids=K
00080020 StudyDate Z full-dates=K modified-dates=C
00080021 SeriesDate X/D full-dates=K modified-dates=C
00080022 AcquisitionDate X/Z full-dates=K modified-dates=C
00080023 ContentDate Z/D full-dates=K modified-dates=C
00080024 OverlayDate X full-dates=K modified-dates=C
00080025 CurveDate X full-dates=K modified-dates=C
0008002A AcquisitionDateTime X/Z/D full-dates=K modified-dates=C
00080030 StudyTime Z full-dates=K modified-dates=C
00080031 SeriesTime X/D full-dates=K modified-dates=C
00080032 AcquisitionTime X/Z full-dates=K modified-dates=C
00080033 ContentTime Z/D full-dates=K modified-dates=C
00080034 OverlayTime X full-dates=K modified-dates=C
00080035 CurveTime X full-dates=K modified-dates=C
00080050 AccessionNumber Z
00080054 RetrieveAETitle X device=C
00080055 StationAETitle X device=C
00080058 FailedSOPInstanceUIDList U uids=K
00080080 InstitutionName X/Z/D institution=K
00080081 InstitutionAddress X institution=K
00080082 InstitutionCodeSequence X/Z/D institution=K
00080090 ReferringPhysicianName Z
00080092 ReferringPhysicianAddress X
00080094 ReferringPhysicianTelephoneNumbers X
00080096 ReferringPhysicianIdentificationSequence X
0008009C ConsultingPhysicianName Z
0008009D ConsultingPhysicianIdentificationSequence X
00080106 ContextGroupVersion D full-dates=K modified-dates=C
00080107 ContextGroupLocalVersion D full-dates=K modified-dates=C
00080201 TimezoneOffsetFromUTC X full-dates=K modified-dates=C
00081000 NetworkID X device=C
00081010 StationName X/Z/D device=K
00081030 StudyDescription X descriptors=C
0008103E SeriesDescription X descriptors=C
00081040 InstitutionalDepartmentName X institution=K
00081041 InstitutionalDepartmentTypeCodeSequence X institution=K
00081048 PhysiciansOfRecord X
00081049 PhysiciansOfRecordIdentificationSequence X
00081050 PerformingPhysicianName X
00081052 PerformingPhysicianIdentificationSequence X
00081060 NameOfPhysiciansReadingStudy X
00081062 PhysiciansReadingStudyIdentificationSequence X
00081070 OperatorsName X/Z/D
00081072 OperatorIdentificationSequence X/D
00081080 AdmittingDiagnosesDescription X descriptors=C
00081084 AdmittingDiagnosesCodeSequence X descriptors=C
00081088 PyramidDescription X descriptors=C
00081110 ReferencedStudySequence X/Z uids=K
00081111 ReferencedPerformedProcedureStepSequence X/Z/D uids=K
00081120 ReferencedPatientSequence X uids=K
00081140 ReferencedImageSequence X/Z/U* uids=K
00081155 ReferencedSOPInstanceUID U uids=K
00081195 TransactionUID U uids=K
00081301 - X
00081302 - X
00081303 - X
00081304 - X
00082111 DerivationDescription X descriptors=C
00082112 SourceImageSequence X/Z/U* uids=K
00083010 IrradiationEventUID U uids=K
00084000 IdentifyingComments X descriptors=C
00100010 PatientName Z
00100011 - X
00100012 - X
00100013 - X
00100014 - X
00100015 - X
00100016 - X
00100020 PatientID Z/D
00100021 IssuerOfPatientID X
00100030 PatientBirthDate Z
00100032 PatientBirthTime X
00100040 PatientSex Z patient-characteristics=K
00100041 - X
00100042 - X
00100043 - X
00100044 - X
00100045 - X
00100046 - X
00100047 - X
00100050 PatientInsurancePlanCodeSequence X
00100101 PatientPrimaryLanguageCodeSequence X
00100102 PatientPrimaryLanguageModifierCodeSequence X
00101000 OtherPatientIDs X
00101001 OtherPatientNames X
00101002 OtherPatientIDsSequence X
00101005 PatientBirthName X
00101010 PatientAge X patient-characteristics=K
00101020 PatientSize X patient-characteristics=K
00101030 PatientWeight X patient-characteristics=K
00101040 PatientAddress X
00101050 InsurancePlanIdentification X
00101060 PatientMotherBirthName X
00101080 MilitaryRank X
00101081 BranchOfService X
00101090 MedicalRecordLocator X
00101100 ReferencedPatientPhotoSequence X
00102000 MedicalAlerts X descriptors=C
00102110 Allergies X patient-characteristics=C descriptors=C
00102150 CountryOfResidence X
00102152 RegionOfResidence X
00102154 PatientTelephoneNumbers X
00102155 PatientTelecomInformation X
00102160 EthnicGroup X patient-characteristics=K
00102161 EthnicGroupCodeSequence X
00102162 - X
00102180 Occupation X descriptors=C
001021A0 SmokingStatus X patient-characteristics=K
001021B0 AdditionalPatientHistory X descriptors=C
001021C0 PregnancyStatus X patient-characteristics=K
001021D0 LastMenstrualDate X full-dates=K modified-dates=C
001021F0 PatientReligiousPreference X
00102203 PatientSexNeutered X/Z patient-characteristics=K
00102297 ResponsiblePerson X
00102299 ResponsibleOrganization X
00104000 PatientComments X descriptors=C
00120010 ClinicalTrialSponsorName D
00120020 ClinicalTrialProtocolID D
00120021 ClinicalTrialProtocolName Z
00120022 IssuerOfClinicalTrialProtocolID X
00120023 OtherClinicalTrialProtocolIDsSequence X
00120030 ClinicalTrialSiteID Z institution=K
00120031 ClinicalTrialSiteName Z institution=K
00120032 IssuerOfClinicalTrialSiteID X
00120040 ClinicalTrialSubjectID D
00120041 IssuerOfClinicalTrialSubjectID X
00120042 ClinicalTrialSubjectReadingID D
00120043 IssuerOfClinicalTrialSubjectReadingID X
00120050 ClinicalTrialTimePointID Z
00120051 ClinicalTrialTimePointDescription X descriptors=C
00120055 IssuerOfClinicalTrialTimePointID X
00120060 ClinicalTrialCoordinatingCenterName Z institution=K
00120071 ClinicalTrialSeriesID X
00120072 ClinicalTrialSeriesDescription X descriptors=C
00120073 IssuerOfClinicalTrialSeriesID X
00120081 ClinicalTrialProtocolEthicsCommitteeName D institution=K
00120082 ClinicalTrialProtocolEthicsCommitteeApprovalNumber X
00120086 EthicsCommitteeApprovalEffectivenessStartDate X full-dates=K modified-dates=C
00120087 EthicsCommitteeApprovalEffectivenessEndDate X full-dates=K modified-dates=C
0014407C CalibrationTime X device=K full-dates=K modified-dates=C
0014407E CalibrationDate X device=K full-dates=K modified-dates=C
0016002B MakerNote X descriptors=C
0016004B DeviceSettingDescription X descriptors=C
0016004D CameraOwnerName X
0016004E LensSpecification X device=K
0016004F LensMake X device=K
00160050 LensModel X device=K
00160051 LensSerialNumber X device=K
00160070 GPSVersionID X
00160071 GPSLatitudeRef X
00160072 GPSLatitude X
00160073 GPSLongitudeRef X
00160074 GPSLongitude X
00160075 GPSAltitudeRef X
00160076 GPSAltitude X
00160077 GPSTimeStamp X
00160078 GPSSatellites X
00160079 GPSStatus X
0016007A GPSMeasureMode X
0016007B GPSDOP X
0016007C GPSSpeedRef X
0016007D GPSSpeed X
0016007E GPSTrackRef X
0016007F GPSTrack X
00160080 GPSImgDirectionRef X
00160081 GPSImgDirection X
00160082 GPSMapDatum X
00160083 GPSDestLatitudeRef X
00160084 GPSDestLatitude X
00160085 GPSDestLongitudeRef X
00160086 GPSDestLongitude X
00160087 GPSDestBearingRef X
00160088 GPSDestBearing X
00160089 GPSDestDistanceRef X
0016008A GPSDestDistance X
0016008B GPSProcessingMethod X
0016008C GPSAreaInformation X
0016008D GPSDateStamp X full-dates=K modified-dates=C
0016008E GPSDifferential X
00180010 ContrastBolusAgent Z/D descriptors=C
00180027 InterventionDrugStopTime X full-dates=K modified-dates=C
00180035 InterventionDrugStartTime X full-dates=K modified-dates=C
00181000 DeviceSerialNumber X/Z/D device=K
00181002 DeviceUID U uids=K device=K
00181004 PlateID X device=K
00181005 GeneratorID X device=K
00181007 CassetteID X device=K
00181008 GantryID X device=K
00181009 UniqueDeviceIdentifier X device=K
0018100A UDISequence X device=K
0018100B ManufacturerDeviceClassUID U uids=K device=K
00181010 SecondaryCaptureDeviceID X
00181011 HardcopyCreationDeviceID X
00181012 DateOfSecondaryCapture X full-dates=K modified-dates=C
00181014 TimeOfSecondaryCapture X full-dates=K modified-dates=C
00181030 ProtocolName X/D descriptors=C
00181042 ContrastBolusStartTime X full-dates=K modified-dates=C
00181043 ContrastBolusStopTime X full-dates=K modified-dates=C
00181072 RadiopharmaceuticalStartTime X full-dates=K modified-dates=C
00181073 RadiopharmaceuticalStopTime X full-dates=K modified-dates=C
00181078 RadiopharmaceuticalStartDateTime X full-dates=K modified-dates=C
00181079 RadiopharmaceuticalStopDateTime X full-dates=K modified-dates=C
001811BB AcquisitionFieldOfViewLabel D descriptors=C
00181200 DateOfLastCalibration X device=K full-dates=K modified-dates=C
00181201 TimeOfLastCalibration X device=K full-dates=K modified-dates=C
00181202 DateTimeOfLastCalibration X device=K full-dates=K modified-dates=C
00181203 CalibrationDateTime Z device=K full-dates=K modified-dates=C
00181204 DateOfManufacture X device=K full-dates=K modified-dates=C
00181205 DateOfInstallation X device=K full-dates=K modified-dates=C
00181400 AcquisitionDeviceProcessingDescription X/D descriptors=C
00182042 TargetUID U uids=K
00184000 AcquisitionComments X descriptors=C
00185011 TransducerIdentificationSequence X device=K
0018700A DetectorID X/D device=K
0018700C DateOfLastDetectorCalibration X/D device=K full-dates=K modified-dates=C
0018700E TimeOfLastDetectorCalibration X/D device=K full-dates=K modified-dates=C
00189074 FrameAcquisitionDateTime D full-dates=K modified-dates=C
00189151 FrameReferenceDateTime D full-dates=K modified-dates=C
00189185 RespiratoryMotionCompensationTechniqueDescription X descriptors=C
00189367 XRaySourceID D device=K
00189369 SourceStartDateTime D full-dates=K modified-dates=C
0018936A SourceEndDateTime D full-dates=K modified-dates=C
00189371 XRayDetectorID D device=K
00189373 XRayDetectorLabel X device=K
0018937B MultienergyAcquisitionDescription X descriptors=C
0018937F DecompositionDescription X descriptors=C
00189424 AcquisitionProtocolDescription X descriptors=C
00189516 StartAcquisitionDateTime X/D full-dates=K modified-dates=C
00189517 EndAcquisitionDateTime X/D full-dates=K modified-dates=C
00189623 FunctionalSyncPulse D full-dates=K modified-dates=C
00189701 DecayCorrectionDateTime D full-dates=K modified-dates=C
00189804 ExclusionStartDateTime D full-dates=K modified-dates=C
00189919 InstructionPerformedDateTime Z/D full-dates=K modified-dates=C
00189937 RequestedSeriesDescription X descriptors=C
0018A002 ContributionDateTime X full-dates=K modified-dates=C
0018A003 ContributionDescription X descriptors=C
0020000D StudyInstanceUID U uids=K
0020000E SeriesInstanceUID U uids=K
00200010 StudyID Z
00200027 PyramidLabel X descriptors=C
00200052 FrameOfReferenceUID U uids=K
00200200 SynchronizationFrameOfReferenceUID U uids=K
00203401 ModifyingDeviceID X device=K
00203403 ModifiedImageDate X full-dates=K modified-dates=C
00203405 ModifiedImageTime X full-dates=K modified-dates=C
00203406 ModifiedImageDescription X
00204000 ImageComments X descriptors=C
00209158 FrameComments X descriptors=C
00209161 ConcatenationUID U uids=K
00209164 DimensionOrganizationUID U uids=K
00281199 PaletteColorLookupTableUID U uids=K
00281214 LargePaletteColorLookupTableUID U uids=K
00284000 ImagePresentationComments X
00320012 StudyIDIssuer X
00320032 StudyVerifiedDate X full-dates=K modified-dates=C
00320033 StudyVerifiedTime X full-dates=K modified-dates=C
00320034 StudyReadDate X full-dates=K modified-dates=C
00320035 StudyReadTime X full-dates=K modified-dates=C
00321000 ScheduledStudyStartDate X full-dates=K modified-dates=C
00321001 ScheduledStudyStartTime X full-dates=K modified-dates=C
00321010 ScheduledStudyStopDate X full-dates=K modified-dates=C
00321011 ScheduledStudyStopTime X full-dates=K modified-dates=C
00321020 ScheduledStudyLocation X device=K
00321021 ScheduledStudyLocationAETitle X device=C
00321030 ReasonForStudy X descriptors=C
00321032 RequestingPhysician X
00321033 RequestingService X
00321040 StudyArrivalDate X full-dates=K modified-dates=C
00321041 StudyArrivalTime X full-dates=K modified-dates=C
00321050 StudyCompletionDate X full-dates=K modified-dates=C
00321051 StudyCompletionTime X full-dates=K modified-dates=C
00321060 RequestedProcedureDescription X/Z descriptors=C
00321066 ReasonForVisit X descriptors=C
00321067 ReasonForVisitCodeSequence X descriptors=C
00321070 RequestedContrastAgent X descriptors=C
00324000 StudyComments X descriptors=C
00340001 FlowIdentifierSequence D
00340002 FlowIdentifier D
00340005 SourceIdentifier D
00340007 FrameOriginTimestamp D full-dates=K modified-dates=C
00380004 ReferencedPatientAliasSequence X
00380010 AdmissionID X
00380011 IssuerOfAdmissionID X
00380014 IssuerOfAdmissionIDSequence X
0038001A ScheduledAdmissionDate X full-dates=K modified-dates=C
0038001B ScheduledAdmissionTime X full-dates=K modified-dates=C
0038001C ScheduledDischargeDate X full-dates=K modified-dates=C
0038001D ScheduledDischargeTime X full-dates=K modified-dates=C
0038001E ScheduledPatientInstitutionResidence X
00380020 AdmittingDate X full-dates=K modified-dates=C
00380021 AdmittingTime X full-dates=K modified-dates=C
00380030 DischargeDate X full-dates=K modified-dates=C
00380032 DischargeTime X full-dates=K modified-dates=C
00380040 DischargeDiagnosisDescription X descriptors=C
00380050 SpecialNeeds X patient-characteristics=C
00380060 ServiceEpisodeID X
00380061 IssuerOfServiceEpisodeID X
00380062 ServiceEpisodeDescription X descriptors=C
00380064 IssuerOfServiceEpisodeIDSequence X
00380300 CurrentPatientLocation X
00380400 PatientInstitutionResidence X
00380500 PatientState X patient-characteristics=C descriptors=C
00384000 VisitComments X descriptors=C
003A0020 MultiplexGroupLabel X
003A0203 ChannelLabel X
003A020C ChannelDerivationDescription X
003A0310 MultiplexGroupUID U uids=K
003A0314 ImpedanceMeasurementDateTime D full-dates=K modified-dates=C
003A0329 WaveformFilterDescription X descriptors=C
003A032B FilterLookupTableDescription X descriptors=C
00400001 ScheduledStationAETitle X device=C
00400002 ScheduledProcedureStepStartDate X full-dates=K modified-dates=C
00400003 ScheduledProcedureStepStartTime X full-dates=K modified-dates=C
00400004 ScheduledProcedureStepEndDate X full-dates=K modified-dates=C
00400005 ScheduledProcedureStepEndTime X full-dates=K modified-dates=C
00400006 ScheduledPerformingPhysicianName X
00400007 ScheduledProcedureStepDescription X descriptors=C
00400009 ScheduledProcedureStepID X
0040000B ScheduledPerformingPhysicianIdentificationSequence X
00400010 ScheduledStationName X device=K
00400011 ScheduledProcedureStepLocation X device=K
00400012 PreMedication X patient-characteristics=C
00400241 PerformedStationAETitle X device=C
00400242 PerformedStationName X device=K
00400243 PerformedLocation X
00400244 PerformedProcedureStepStartDate X full-dates=K modified-dates=C
00400245 PerformedProcedureStepStartTime X full-dates=K modified-dates=C
00400250 PerformedProcedureStepEndDate X full-dates=K modified-dates=C
00400251 PerformedProcedureStepEndTime X full-dates=K modified-dates=C
00400253 PerformedProcedureStepID X
00400254 PerformedProcedureStepDescription X descriptors=C
00400275 RequestAttributesSequence X descriptors=C
00400280 CommentsOnThePerformedProcedureStep X descriptors=C
00400310 CommentsOnRadiationDose X descriptors=C
0040050A SpecimenAccessionNumber X
00400512 ContainerIdentifier D
00400513 IssuerOfTheContainerIdentifierSequence Z
0040051A ContainerDescription X descriptors=C
00400551 SpecimenIdentifier D
00400554 SpecimenUID U uids=K
00400555 AcquisitionContextSequence X/Z structured-content=C
00400556 AcquisitionContextDescription X
00400562 IssuerOfTheSpecimenIdentifierSequence Z
00400600 SpecimenShortDescription X descriptors=C
00400602 SpecimenDetailedDescription X descriptors=C
00400610 SpecimenPreparationSequence Z structured-content=C
004006FA SlideIdentifier X
00401001 RequestedProcedureID X
00401002 ReasonForTheRequestedProcedure X descriptors=C
00401004 PatientTransportArrangements X
00401005 RequestedProcedureLocation X
0040100A ReasonForRequestedProcedureCodeSequence X descriptors=C
00401010 NamesOfIntendedRecipientsOfResults X
00401011 IntendedRecipientsOfResultsIdentificationSequence X
00401101 PersonIdentificationCodeSequence D
00401102 PersonAddress X
00401103 PersonTelephoneNumbers X
00401104 PersonTelecomInformation X
00401400 RequestedProcedureComments X descriptors=C
00402001 ReasonForTheImagingServiceRequest X descriptors=C
00402004 IssueDateOfImagingServiceRequest X full-dates=K modified-dates=C
00402005 IssueTimeOfImagingServiceRequest X full-dates=K modified-dates=C
00402008 OrderEnteredBy X
00402009 OrderEntererLocation X
00402010 OrderCallbackPhoneNumber X
00402011 OrderCallbackTelecomInformation X
00402016 PlacerOrderNumberImagingServiceRequest Z
00402017 FillerOrderNumberImagingServiceRequest Z
00402400 ImagingServiceRequestComments X descriptors=C
00403001 ConfidentialityConstraintOnPatientDataDescription X
00404005 ScheduledProcedureStepStartDateTime X full-dates=K modified-dates=C
00404008 ScheduledProcedureStepExpirationDateTime X full-dates=K modified-dates=C
00404010 ScheduledProcedureStepModificationDateTime X full-dates=K modified-dates=C
00404011 ExpectedCompletionDateTime X full-dates=K modified-dates=C
00404023 ReferencedGeneralPurposeScheduledProcedureStepTransactionUID U uids=K
00404025 ScheduledStationNameCodeSequence X device=K
00404027 ScheduledStationGeographicLocationCodeSequence X device=K
00404028 PerformedStationNameCodeSequence X device=K
00404030 PerformedStationGeographicLocationCodeSequence X device=K
00404034 ScheduledHumanPerformersSequence X
00404035 ActualHumanPerformersSequence X
00404036 HumanPerformerOrganization X
00404037 HumanPerformerName X
00404050 PerformedProcedureStepStartDateTime X full-dates=K modified-dates=C
00404051 PerformedProcedureStepEndDateTime X full-dates=K modified-dates=C
00404052 ProcedureStepCancellationDateTime X full-dates=K modified-dates=C
0040A023 FindingsGroupRecordingDateTrial X full-dates=K modified-dates=C
0040A024 FindingsGroupRecordingTimeTrial X full-dates=K modified-dates=C
0040A027 VerifyingOrganization D
0040A030 VerificationDateTime D full-dates=K modified-dates=C
0040A032 ObservationDateTime X/D full-dates=K modified-dates=C
0040A033 ObservationStartDateTime X full-dates=K modified-dates=C
0040A034 - X
0040A035 - X
0040A073 VerifyingObserverSequence D
0040A075 VerifyingObserverName D
0040A078 AuthorObserverSequence X
0040A07A ParticipantSequence X
0040A07C CustodialOrganizationSequence X
0040A082 ParticipationDateTime Z full-dates=K modified-dates=C
0040A088 VerifyingObserverIdentificationCodeSequence Z
0040A110 DateOfDocumentOrVerbalTransactionTrial X full-dates=K modified-dates=C
0040A112 TimeOfDocumentCreationOrVerbalTransactionTrial X full-dates=K modified-dates=C
0040A120 DateTime D full-dates=K modified-dates=C
0040A121 Date D full-dates=K modified-dates=C
0040A122 Time D full-dates=K modified-dates=C
0040A123 PersonName D
0040A124 UID U
0040A13A ReferencedDateTime D full-dates=K modified-dates=C
0040A171 ObservationUID U uids=K
0040A172 ReferencedObservationUIDTrial U uids=K
0040A192 ObservationDateTrial X full-dates=K modified-dates=C
0040A193 ObservationTimeTrial X full-dates=K modified-dates=C
0040A307 CurrentObserverTrial X
0040A352 VerbalSourceTrial X
0040A353 AddressTrial X
0040A354 TelephoneNumberTrial X
0040A358 VerbalSourceIdentifierCodeSequenceTrial X
0040A402 ObservationSubjectUIDTrial U uids=K
0040A730 ContentSequence D structured-content=C
0040B020 WaveformAnnotationSequence X/D
0040B034 - X
0040B036 - X
0040B03B - X
0040B03F - X
0040DB06 TemplateVersion X full-dates=K modified-dates=C
0040DB07 TemplateLocalVersion X full-dates=K modified-dates=C
0040DB0C TemplateExtensionOrganizationUID U uids=K
0040DB0D TemplateExtensionCreatorUID U uids=K
0040E004 HL7DocumentEffectiveTime X full-dates=K modified-dates=C
0040E012 - X
00420011 EncapsulatedDocument D
00440004 ApprovalStatusDateTime X full-dates=K modified-dates=C
0044000B ProductExpirationDateTime X full-dates=K modified-dates=C
00440010 SubstanceAdministrationDateTime X full-dates=K modified-dates=C
00440104 AssertionDateTime D full-dates=K modified-dates=C
00440105 AssertionExpirationDateTime X full-dates=K modified-dates=C
0050001B ContainerComponentID X
00500020 DeviceDescription X device=K
00500021 LongDeviceDescription X descriptors=C
00620021 TrackingUID U uids=K
00640003 SourceFrameOfReferenceUID U uids=K
00686226 EffectiveDateTime D full-dates=K modified-dates=C
00686270 InformationIssueDateTime D full-dates=K modified-dates=C
006A0003 AnnotationGroupUID D uids=K
006A0005 AnnotationGroupLabel D descriptors=C
006A0006 AnnotationGroupDescription X descriptors=C
00700001 GraphicAnnotationSequence D graphics=C
00700006 UnformattedTextValue D
00700082 PresentationCreationDate X full-dates=K modified-dates=C
00700083 PresentationCreationTime X full-dates=K modified-dates=C
00700084 ContentCreatorName Z/D
00700086 ContentCreatorIdentificationCodeSequence X
0070031A FiducialUID U uids=K
00701101 PresentationDisplayCollectionUID U uids=K
00701102 PresentationSequenceCollectionUID U uids=K
0072000A HangingProtocolCreationDateTime D full-dates=K modified-dates=C
0072005E SelectorAEValue D device=C
0072005F SelectorASValue D patient-characteristics=K
00720061 SelectorDAValue D full-dates=K modified-dates=C
00720063 SelectorDTValue D full-dates=K modified-dates=C
00720065 SelectorOBValue D
00720066 SelectorLOValue D descriptors=C
00720068 SelectorLTValue D descriptors=C
0072006A SelectorPNValue D
0072006B SelectorTMValue D full-dates=K modified-dates=C
0072006C SelectorSHValue D descriptors=C
0072006D SelectorUNValue D
0072006E SelectorSTValue D descriptors=C
00720070 SelectorUTValue D descriptors=C
00720071 SelectorURValue D
00741234 ReceivingAE X device=C
00741236 RequestingAE X device=C
00880140 StorageMediaFileSetUID U uids=K
00880200 IconImageSequence X
00880904 TopicTitle X
00880906 TopicSubject X
00880910 TopicAuthor X
00880912 TopicKeywords X
01000420 SOPAuthorizationDateTime X full-dates=K modified-dates=C
04000100 DigitalSignatureUID U
04000105 DigitalSignatureDateTime D full-dates=K modified-dates=C
04000115 CertificateOfSigner D
04000310 CertifiedTimestamp X full-dates=K modified-dates=C
04000402 ReferencedDigitalSignatureSequence X
04000403 ReferencedSOPInstanceMACSequence X
04000404 MAC X
04000550 ModifiedAttributesSequence X
04000551 NonconformingModifiedAttributesSequence X
04000552 NonconformingDataElementValue X
04000561 OriginalAttributesSequence X
04000562 AttributeModificationDateTime D full-dates=K modified-dates=C
04000563 ModifyingSystem D device=K
04000564 SourceOfPreviousValues Z institution=K
04000565 ReasonForTheAttributeModification D descriptors=C
04000600 InstanceOriginStatus X
20300020 TextString X
21000040 CreationDate X full-dates=K modified-dates=C
21000050 CreationTime X full-dates=K modified-dates=C
21000070 Originator X device=C
21000140 DestinationAE D device=C
22000002 LabelText X/Z descriptors=C
22000005 BarcodeValue X/Z
30020121 PositionAcquisitionTemplateName X descriptors=C
30020123 PositionAcquisitionTemplateDescription X descriptors=C
30060002 StructureSetLabel D descriptors=C
30060004 StructureSetName X descriptors=C
30060006 StructureSetDescription X descriptors=C
30060008 StructureSetDate Z full-dates=K modified-dates=C
30060009 StructureSetTime Z full-dates=K modified-dates=C
30060024 ReferencedFrameOfReferenceUID U uids=K
30060026 ROIName Z descriptors=C
30060028 ROIDescription X descriptors=C
3006002D ROIDateTime X full-dates=K modified-dates=C
3006002E ROIObservationDateTime X full-dates=K modified-dates=C
30060038 ROIGenerationDescription X descriptors=C
3006004D ROICreatorSequence X
3006004E ROIInterpreterSequence X
30060085 ROIObservationLabel X descriptors=C
30060088 ROIObservationDescription X descriptors=C
300600A6 ROIInterpreter Z
300600C2 RelatedFrameOfReferenceUID U uids=K
30080024 TreatmentControlPointDate D full-dates=K modified-dates=C
30080025 TreatmentControlPointTime D full-dates=K modified-dates=C
30080054 FirstTreatmentDate X/D full-dates=K modified-dates=C
30080056 MostRecentTreatmentDate X/D full-dates=K modified-dates=C
30080105 SourceSerialNumber X/Z device=K
30080162 SafePositionExitDate D full-dates=K modified-dates=C
30080164 SafePositionExitTime D full-dates=K modified-dates=C
30080166 SafePositionReturnDate D full-dates=K modified-dates=C
30080168 SafePositionReturnTime D full-dates=K modified-dates=C
30080250 TreatmentDate X/D full-dates=K modified-dates=C
30080251 TreatmentTime X/D full-dates=K modified-dates=C
300A0002 RTPlanLabel D descriptors=C
300A0003 RTPlanName X descriptors=C
300A0004 RTPlanDescription X descriptors=C
300A0006 RTPlanDate X/D full-dates=K modified-dates=C
300A0007 RTPlanTime X/D full-dates=K modified-dates=C
300A000B TreatmentSites X descriptors=C
300A000E PrescriptionDescription X descriptors=C
300A0013 DoseReferenceUID U uids=K
300A0016 DoseReferenceDescription X descriptors=C
300A0054 TableTopPositionAlignmentUID U
300A0072 FractionGroupDescription X descriptors=C
300A0083 ReferencedDoseReferenceUID U uids=K
300A00B2 TreatmentMachineName X/Z device=K
300A00C3 BeamDescription X descriptors=C
300A00DD BolusDescription X descriptors=C
300A0196 FixationDeviceDescription X descriptors=C
300A01A6 ShieldingDeviceDescription X descriptors=C
300A01B2 SetupTechniqueDescription X descriptors=C
300A0216 SourceManufacturer X device=K
300A022C SourceStrengthReferenceDate D full-dates=K modified-dates=C
300A022E SourceStrengthReferenceTime D full-dates=K modified-dates=C
300A02EB CompensatorDescription X descriptors=C
300A0608 TreatmentPositionGroupLabel D descriptors=C
300A0609 TreatmentPositionGroupUID U uids=K
300A0611 RTAccessoryHolderSlotID Z
300A0615 RTAccessoryDeviceSlotID Z
300A0619 RadiationDoseIdentificationLabel D descriptors=C
300A0623 RadiationDoseInVivoMeasurementLabel D descriptors=C
300A062A RTToleranceSetLabel D descriptors=C
300A0650 PatientSetupUID U uids=K
300A0676 EquipmentFrameOfReferenceDescription X descriptors=C
300A067C RadiationGenerationModeLabel D descriptors=C
300A067D RadiationGenerationModeDescription Z descriptors=C
300A0700 TreatmentSessionUID U uids=K
300A0734 TreatmentToleranceViolationDescription D descriptors=C
300A0736 TreatmentToleranceViolationDateTime D full-dates=K modified-dates=C
300A073A RecordedRTControlPointDateTime D full-dates=K modified-dates=C
300A0741 InterlockDateTime D full-dates=K modified-dates=C
300A0742 InterlockDescription D descriptors=C
300A0760 OverrideDateTime D full-dates=K modified-dates=C
300A0783 InterlockOriginDescription D descriptors=C
300A0785 ReferencedTreatmentPositionGroupUID U uids=K
300A078E PatientTreatmentPreparationProcedureParameterDescription X descriptors=C
300A0792 PatientTreatmentPreparationMethodDescription X descriptors=C
300A0794 PatientSetupPhotoDescription X descriptors=C
300A079A DisplacementReferenceLabel X descriptors=C
300C0113 ReasonForOmissionDescription X descriptors=C
300C0127 BeamHoldTransitionDateTime D device=K full-dates=K modified-dates=C
300E0004 ReviewDate Z full-dates=K modified-dates=C
300E0005 ReviewTime Z full-dates=K modified-dates=C
300E0008 ReviewerName X/Z
30100006 ConceptualVolumeUID U uids=K
3010000B ReferencedConceptualVolumeUID U uids=K
3010000F ConceptualVolumeCombinationDescription Z descriptors=C
30100013 ConstituentConceptualVolumeUID U uids=K
30100015 SourceConceptualVolumeUID U uids=K
30100017 ConceptualVolumeDescription Z descriptors=C
3010001B DeviceAlternateIdentifier Z
3010002D DeviceLabel D device=K
30100031 ReferencedFiducialsUID U uids=K
30100033 UserContentLabel D descriptors=C
30100034 UserContentLongLabel D descriptors=C
30100035 EntityLabel D descriptors=C
30100036 EntityName X descriptors=C
30100037 EntityDescription X descriptors=C
30100038 EntityLongLabel D descriptors=C
3010003B RTTreatmentPhaseUID U uids=K
30100043 ManufacturerDeviceIdentifier Z device=K
3010004C IntendedPhaseStartDate X/D full-dates=K modified-dates=C
3010004D IntendedPhaseEndDate X/D full-dates=K modified-dates=C
30100054 RTPrescriptionLabel D descriptors=C
30100056 RTTreatmentApproachLabel X/D descriptors=C
3010005A RTPhysicianIntentNarrative Z descriptors=C
3010005C ReasonForSuperseding Z descriptors=C
30100061 PriorTreatmentDoseDescription X descriptors=C
3010006E DosimetricObjectiveUID U uids=K
3010006F ReferencedDosimetricObjectiveUID U uids=K
30100077 TreatmentSite X/D descriptors=C
3010007A TreatmentTechniqueNotes Z descriptors=C
3010007B PrescriptionNotes Z descriptors=C
3010007F FractionationNotes Z descriptors=C
30100081 PrescriptionNotesSequence Z descriptors=C
30100085 IntendedFractionStartTime X full-dates=K modified-dates=C
40000010 Arbitrary X
40004000 TextComments X
40080040 ResultsID X
40080042 ResultsIDIssuer X
40080100 InterpretationRecordedDate X full-dates=K modified-dates=C
40080101 InterpretationRecordedTime X full-dates=K modified-dates=C
40080102 InterpretationRecorder X
40080108 InterpretationTranscriptionDate X full-dates=K modified-dates=C
40080109 InterpretationTranscriptionTime X full-dates=K modified-dates=C
4008010A InterpretationTranscriber X
4008010B InterpretationText X descriptors=C
4008010C InterpretationAuthor X
40080111 InterpretationApproverSequence X
40080112 InterpretationApprovalDate X full-dates=K modified-dates=C
40080113 InterpretationApprovalTime X full-dates=K modified-dates=C
40080114 PhysicianApprovingInterpretation X
40080115 InterpretationDiagnosisDescription X descriptors=C
40080118 ResultsDistributionListSequence X
40080119 DistributionName X
4008011A DistributionAddress X
40080200 InterpretationID X
40080202 InterpretationIDIssuer X
40080300 Impressions X descriptors=C
40084000 ResultsComments X descriptors=C
50XXXXXX - X graphics=C
60XX3000 - X graphics=C
60XX4000 - X graphics=C
FFFAFFFA DigitalSignaturesSequence X
FFFCFFFC DataSetTrailingPadding X
PRIVATE - X safe-private=C
"""
