def with_facturx_metadata(pdf): return pdf
